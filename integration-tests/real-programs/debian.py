"""Debian packages, unpacked below the target directory and not installed: no service of theirs starts."""

import subprocess
from pathlib import Path

from servers import Missing


def unpacked(cache, packages):
    """Returns a folder with the files of these packages: names with versions, or with none for what Debian has now."""
    name, version = next(iter(packages.items()))
    folder = cache / "debian" / f"{name}_{version}"
    complete = folder / "complete"
    if complete.is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [f"{package}={version}" if version else package for package, version in packages.items()]
    download = subprocess.run(["apt-get", "download", *wanted], cwd=folder, capture_output=True, text=True)
    if download.returncode:
        raise Missing(f"apt-get download {' '.join(wanted)}: {download.stderr.strip()} (Debian 12; apt-get update)")
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg", "-x", package, folder], check=True)
        Path(package).unlink()
    complete.touch()
    return folder
