"""The container image: its file is linted, then done by hand on an empty root, and its command line runs there as its user.

No engine is needed: the file has only instructions that are a copy, a chmod or a line of metadata.
"""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from .complaint import Complaint
from .empty_root import serves
from .process import Server, run

FILE = Path("packages/container/Containerfile")
LISTEN = "0.0.0.0:2181"


class Image:
    """What the file makes of a context."""

    def __init__(self, text):
        self.copies = []
        self.found = {}
        for line in text.splitlines():
            if not line or line.startswith("#"):
                continue
            name, _, rest = line.partition(" ")
            if name == "COPY":
                *options, source, target = rest.split()
                self.copies.append((dict(option.removeprefix("--").split("=") for option in options), source, target))
            elif name in {"FROM", "USER", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD"} and name not in self.found:
                self.found[name] = rest
            else:
                raise Complaint(f"{FILE}: {line}: unknown here, or there twice")

    def user(self):
        uid, _, gid = self.found["USER"].partition(":")
        if not (uid.isdigit() and gid.isdigit() and int(uid) and int(gid)):
            raise Complaint(f"{FILE}: USER must be two numbers, and not root's: an empty root has no names")
        return int(uid), int(gid)

    def command(self):
        return json.loads(self.found["ENTRYPOINT"]) + json.loads(self.found["CMD"])

    def health(self):
        return json.loads(self.found["HEALTHCHECK"].partition("CMD ")[2])

    def build(self, context, root):
        for options, source, target in self.copies:
            source, target = context / source, root / target.lstrip("/")
            if source.is_dir():
                target.mkdir(mode=0o755)
            else:
                shutil.copyfile(source, target)
            target.chmod(int(options.get("chmod", "0755"), 8))
            os.chown(target, *map(int, options.get("chown", "0:0").split(":")))


def lint(hadolint):
    if not hadolint.exists():
        raise Complaint(f"{hadolint} is missing: run ci/setup")
    subprocess.run([hadolint, "--failure-threshold", "style", FILE], check=True)


def check(program, tools):
    lint(tools / "bin/hadolint")
    image = Image(FILE.read_text(encoding="utf-8"))
    if image.found["FROM"] != "scratch" or image.found["EXPOSE"] != "2181":
        raise Complaint(f"{FILE}: must be FROM scratch, and EXPOSE 2181")
    with tempfile.TemporaryDirectory() as work:
        context, root = Path(work, "context"), Path(work, "root")
        (context / "data").mkdir(parents=True)
        shutil.copy(program, context / "zk-mini")
        root.mkdir(mode=0o755)
        image.build(context, root)
        # As in the file, but for the port: another run may have that one.
        command = [part.replace(LISTEN, "0.0.0.0:0") for part in image.command()]
        if LISTEN not in image.command():
            raise Complaint(f"{FILE}: CMD must listen on {LISTEN}")
        for options in [], ["--data-dir", "/data"]:
            with Server(root, command + options, user=image.user()) as server:
                serves(server)
                if server.ready["http"]:
                    raise Complaint("the container answers HTTP beyond loopback without a token")
                health = [part.replace(":2181", f":{server.port}") for part in image.health()]
                run(root, *health, user=image.user())
            refuses(root, health, image.user())
    print(f"{FILE}: linted; its command serves on an empty root, as user {image.found['USER']}", flush=True)


def refuses(root, health, user):
    """Runs the check of health without a server."""
    try:
        run(root, *health, user=user)
    except Complaint:
        return
    raise Complaint("the check of health is content with a server that has stopped")
