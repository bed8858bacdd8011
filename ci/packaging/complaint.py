"""The reason why a package may not be handed out, or cannot be checked here."""

import shutil


class Complaint(Exception):
    """What is wrong, and what to do."""


def needed(program, package):
    """Returns the path of a program that ci/setup installs."""
    path = shutil.which(program)
    if not path:
        raise Complaint(f"{program} is missing: run ci/setup, which installs the Debian package {package}")
    return path
