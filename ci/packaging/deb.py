"""The Debian package: built twice, the same byte by byte; judged by lintian; installed, used and purged in a root of Debian."""

import gzip
import hashlib
import os
import re
import subprocess
import tempfile
from email.utils import formatdate
from pathlib import Path

from .complaint import Complaint, needed

SOURCES = Path("packages/debian")
UNIT = Path("packages/systemd/zk-mini.service")
SCRIPTS = ["postinst", "prerm", "postrm"]
DOCUMENTS = "usr/share/doc/zk-mini"
# What lintian says of the address that stands for one as long as there is none.
NO_ADDRESS = ["bogus-mail-host", "bogus-mail-host-in-debian-changelog", "root-in-contact"]


def maintainer():
    """Returns who signs, in the variables of Debian's tools. Nothing is published yet, so there is no address to write to."""
    name, address = os.environ.get("DEBFULLNAME", "zk-mini maintainers"), os.environ.get("DEBEMAIL", "root@localhost")
    return f"{name} <{address}>"


def source_date():
    """Returns the time that all files get: that of the commit, or SOURCE_DATE_EPOCH."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    return int(given or subprocess.check_output(["git", "log", "-1", "--format=%ct"], text=True))


def debian_version(version):
    """Returns a version for which 1.0.0-rc.1 comes before 1.0.0."""
    return version.replace("-", "~") + "-1"


def compressed(text):
    return gzip.compress(text.encode() if isinstance(text, str) else text, compresslevel=9, mtime=0)


def licence():
    """Returns the holders of the copyright, and the text for a field of a control file."""
    text = Path("LICENSE-MIT").read_text(encoding="utf-8")
    holders = re.search(r"(?m)^Copyright (?:\(c\) )?(.+)$", text)[1]
    return holders, "\n".join(f" {line}" if line.strip() else " ." for line in text.strip().splitlines())


def documents(version):
    """Returns the files that Debian asks for, by path."""
    holders, mit = licence()
    copyright_file = (SOURCES / "copyright").read_text(encoding="utf-8")
    entry = f"zk-mini ({debian_version(version)}) unstable; urgency=medium\n\n  * Version {version}: see changelog.gz.\n\n"
    entry += f" -- {maintainer()}  {formatdate(source_date())}\n"
    return {
        f"{DOCUMENTS}/copyright": copyright_file.replace("@copyright@", holders).replace("@mit@", mit).encode(),
        f"{DOCUMENTS}/changelog.gz": compressed(Path("CHANGELOG.md").read_bytes()),
        f"{DOCUMENTS}/changelog.Debian.gz": compressed(entry),
        f"{DOCUMENTS}/README.md.gz": compressed(Path("zk-mini/program/README.md").read_bytes()),
        "usr/share/lintian/overrides/zk-mini": (SOURCES / "lintian-overrides").read_bytes(),
    }


def of_the_program(program):
    """Returns the files that the program writes itself: manual pages and completions."""
    files = {}
    with tempfile.TemporaryDirectory() as pages:
        subprocess.run([program, "man", pages], check=True)
        for page in Path(pages).iterdir():
            files[f"usr/share/man/man1/{page.name}.gz"] = compressed(page.read_bytes())
    for shell, path in {
        "bash": "usr/share/bash-completion/completions/zk-mini",
        "zsh": "usr/share/zsh/vendor-completions/_zk-mini",
        "fish": "usr/share/fish/vendor_completions.d/zk-mini.fish",
    }.items():
        files[path] = subprocess.check_output([program, "completions", shell])
    return files


def files(program, version):
    """Returns all files of the package, by path: content and mode."""
    contents = documents(version) | of_the_program(program)
    contents["lib/systemd/system/zk-mini.service"] = UNIT.read_bytes()
    contents["etc/default/zk-mini"] = (SOURCES / "default").read_bytes()
    return {path: (content, 0o644) for path, content in contents.items()} | {
        "usr/bin/zk-mini": (Path(program).read_bytes(), 0o755)
    }


def control(content, version):
    fields = {
        "version": debian_version(version),
        "architecture": subprocess.check_output(["dpkg", "--print-architecture"], text=True).strip(),
        "maintainer": maintainer(),
        # As dpkg-gencontrol counts: whole KiB, and one for each directory.
        "size": str(sum(-(-len(data) // 1024) for data, _ in content.values()) + len(folders(content))),
    }
    return re.sub("@([a-z]+)@", lambda match: fields[match[1]], (SOURCES / "control").read_text(encoding="utf-8"))


def folders(content):
    return {folder for path in content for folder in Path(path).parents}


def write(path, data, mode):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)


def build(program, version, deb):
    """Writes the package."""
    dpkg_deb = needed("dpkg-deb", "dpkg")
    content = files(program, version)
    with tempfile.TemporaryDirectory() as work:
        tree = Path(work, "tree")
        for path, (data, mode) in content.items():
            write(tree / path, data, mode)
        write(tree / "DEBIAN/control", control(content, version).encode(), 0o644)
        write(tree / "DEBIAN/conffiles", b"/etc/default/zk-mini\n", 0o644)
        sums = [f"{hashlib.md5(data, usedforsecurity=False).hexdigest()}  {path}\n" for path, (data, _) in sorted(content.items()) if not path.startswith("etc/")]
        write(tree / "DEBIAN/md5sums", "".join(sums).encode(), 0o644)
        for script in SCRIPTS:
            write(tree / "DEBIAN" / script, (SOURCES / script).read_bytes(), 0o755)
        for folder in folders(content) | {Path("DEBIAN")}:
            (tree / folder).chmod(0o755)
        command = [dpkg_deb, "--root-owner-group", "-Zxz", "--build", tree, deb]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"SOURCE_DATE_EPOCH": str(source_date())})


def build_twice(program, version, folder):
    """Returns the path of the package."""
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("zk-mini_*.deb"):
        stale.unlink()
    deb = folder / f"zk-mini_{debian_version(version)}.deb"
    build(program, version, deb)
    with tempfile.TemporaryDirectory() as work:
        # What a build may depend on: the mask of a user, the zone of a machine.
        again, mask, zone = Path(work, "zk-mini.deb"), os.umask(0o077), os.environ.get("TZ")
        os.environ["TZ"] = "Asia/Kathmandu"
        try:
            build(program, version, again)
        finally:
            os.umask(mask)
            os.environ.pop("TZ")
            if zone is not None:
                os.environ["TZ"] = zone
        if again.read_bytes() != deb.read_bytes():
            raise Complaint(f"{deb}: a second build gives other bytes")
    return deb


def check(program, version, folder):
    """Builds the package, and lets lintian judge it. Returns its path."""
    deb = build_twice(program, version, folder)
    command = [needed("lintian", "lintian"), "--allow-root", "--no-cfg", "--fail-on", "error,warning"]
    if "DEBEMAIL" not in os.environ:
        command += ["--suppress-tags", ",".join(NO_ADDRESS)]
    if subprocess.run([*command, deb]).returncode != 0:
        raise Complaint(f"{deb}: lintian is not content")
    print(f"{deb}: {deb.stat().st_size >> 10} KiB, reproducible, lintian is content", flush=True)
    return deb
