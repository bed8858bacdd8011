"""Debian packages, unpacked below the target directory and not installed: no service of theirs starts."""

import subprocess
from pathlib import Path

from servers import Missing


def unpacked(cache, packages):
    """Returns a folder with the files of these packages, a mapping of names to versions."""
    name = "-".join(f"{package}_{version}" for package, version in packages.items())
    folder = cache / "debian" / name.replace("/", "_")[:100]
    complete = folder / "complete"
    if complete.is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [f"{package}={version}" for package, version in packages.items()]
    download = subprocess.run(["apt-get", "download", *wanted], cwd=folder, capture_output=True, text=True)
    if download.returncode:
        raise Missing(f"apt-get download {' '.join(wanted)}: {download.stderr.strip()} (Debian 12; apt-get update)")
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg", "-x", package, folder], check=True)
        Path(package).unlink()
    complete.touch()
    return folder
