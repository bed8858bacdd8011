"""The Debian package in a small Debian of its own: installed, used as its service does, upgraded, removed, purged."""

import os
import re
import shlex
import socket
import subprocess
import tempfile
from pathlib import Path

from .complaint import Complaint, needed
from .empty_root import serves
from .process import PATIENCE_S, Server, run

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"}
UNIT = "lib/systemd/system/zk-mini.service"
ENABLED = "etc/systemd/system/multi-user.target.wants/zk-mini.service"
# Logs and states of dpkg and adduser themselves, and the older copies of them.
KEPT = re.compile(r"var/log/|run/adduser$|var/lib/dpkg/|var/cache/|etc/(passwd|group|shadow|gshadow|subuid|subgid)-?$|etc/\.pwd\.lock$")


def listing(root):
    """Returns the paths of a root directory, but for those that every installation changes."""
    found = set()
    for folder, folders, names in os.walk(root):
        found |= {os.path.relpath(os.path.join(folder, name), root) for name in [*folders, *names]}
    return {path for path in found if not KEPT.match(path)}


def users(root):
    """Returns the lines of all files with users and groups."""
    return {
        f"{name}: {line}"
        for name in ["passwd", "group", "shadow", "gshadow"]
        for line in (root / "etc" / name).read_text(encoding="utf-8").splitlines()
    }


def dpkg(root, *arguments):
    run(root, "/usr/bin/dpkg", *arguments, env=ENVIRONMENT)


def user(root):
    """Returns the numbers of the user of the service."""
    for line in (root / "etc/passwd").read_text(encoding="utf-8").splitlines():
        name, _, uid, gid, *_ = line.split(":")
        if name == "zk-mini":
            return int(uid), int(gid)
    raise Complaint("the package has made no user zk-mini")


def command(root):
    """Returns the command line of the unit, with the options of /etc/default/zk-mini."""
    (line,) = re.findall(r"(?m)^ExecStart=(.+)$", (root / UNIT).read_text(encoding="utf-8"))
    # Another run may have port 2181.
    return shlex.split(line.replace("$ZK_MINI_OPTIONS", "--port 0"))


def serves_as_the_unit_says(root):
    """Runs the service as systemd would: its command line and user, a directory for its state, a socket that is told."""
    uid, gid = user(root)
    state = root / "var/lib/zk-mini"
    state.mkdir(mode=0o750)
    os.chown(state, uid, gid)
    told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    told.settimeout(PATIENCE_S)
    # An abstract socket has no path that would have to be in the root.
    told.bind("")
    name = "@" + told.getsockname()[1:].decode()
    with told:
        with Server(root, command(root), user=(uid, gid), env={"NOTIFY_SOCKET": name}) as server:
            first = told.recv(4096)
            serves(server)
            out = run(root, "/usr/bin/zk-mini", "get", "/a", "--server", f"127.0.0.1:{server.port}", user=(uid, gid))
        last = told.recv(4096)
    if not (first.startswith(b"READY=1\n") and last.startswith(b"STOPPING=1\n") and out == "of a client"):
        raise Complaint(f"the service says {first!r} and {last!r}, and its client {out!r}")


def check(deb, archive):
    if not archive.exists():
        raise Complaint(f"{archive}, a small Debian, is missing: run ci/setup")
    with tempfile.TemporaryDirectory() as work:
        root = Path(work)
        subprocess.run([needed("tar", "tar"), "-xf", archive, "-C", root, "--exclude", "./dev/*"], check=True)
        (root / "dev/null").touch(mode=0o666)
        before, users_before = listing(root), users(root)
        (root / "tmp/zk-mini.deb").write_bytes(deb.read_bytes())

        dpkg(root, "--install", "/tmp/zk-mini.deb")
        run(root, "/usr/bin/zk-mini", "--version")
        run(root, "/bin/bash", "-c", ". /usr/share/bash-completion/completions/zk-mini && complete -p zk-mini")
        verify(root)
        serves_as_the_unit_says(root)

        # As `systemctl enable` does.
        (root / ENABLED).parent.mkdir(parents=True, exist_ok=True)
        (root / ENABLED).symlink_to(f"/{UNIT}")
        dpkg(root, "--install", "/tmp/zk-mini.deb")
        dpkg(root, "--remove", "zk-mini")
        if (root / "usr/bin/zk-mini").exists() or not (root / "var/lib/zk-mini/version-2").exists():
            raise Complaint("a removal must leave the data, and not the program")
        dpkg(root, "--purge", "zk-mini")

        (root / "tmp/zk-mini.deb").unlink()
        left = sorted(listing(root) - before) + sorted(users(root) - users_before)
        if left:
            raise Complaint(f"a purge leaves: {', '.join(left)}")
    print(f"{deb}: installed, served as its unit says, removed; a purge leaves nothing", flush=True)


def verify(root):
    """Lets systemd read the unit."""
    analyze = needed("systemd-analyze", "systemd")
    command = [analyze, "verify", "--man=no", "--recursive-errors=no", f"--root={root}", "zk-mini.service"]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if result.returncode != 0 or result.stdout:
        raise Complaint(f"{UNIT}: {result.stdout}")
    # 0 is closed, 10 is open.
    command = [analyze, "security", "--offline=true", "--threshold=15", "--no-pager", root / UNIT]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if result.returncode != 0:
        raise Complaint(f"{UNIT}: more open than it was\n{result.stdout}")
