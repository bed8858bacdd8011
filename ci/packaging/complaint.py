"""The reason why a package may not be handed out, or cannot be checked here."""

import shutil


class Complaint(Exception):
    """What is wrong, and what to do."""


def needed(program, package):
    """Returns the path of a program of a Debian package."""
    path = shutil.which(program)
    if not path:
        raise Complaint(f"{program} is missing: it is in the Debian package {package}; ci/setup installs what CI needs")
    return path
