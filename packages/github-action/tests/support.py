"""What the tests share: a program, a wheel that carries it, and jobs in folders of their own."""

import base64
import hashlib
import os
import socket
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

from runner import Job

ACTION = Path(__file__).resolve().parent.parent
SNIPPETS = ACTION.parent / "ci-snippets"
PROGRAM = Path(os.environ["ZK_MINI"])


class Case(unittest.TestCase):
    """A folder for each test, which has a path without `zk-mini`."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="zk-mini-action-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        # The Python of a runner, with pip.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {"PATH": path, "HOME": str(self.folder), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels())}
        self.job = Job(self.folder, environment, actions={"./.github/actions/zk-mini": ACTION, "./.github/actions/zk-mini/stop": ACTION / "stop"})
        # A server that a failed test leaves is ended with the action that does it.
        self.addCleanup(lambda: self.job.bash(f"bash {ACTION}/stop/stop", {}, ACTION / "stop"))

    def write(self, name, text, mode=0o755):
        file = self.folder / name
        file.write_text(text)
        file.chmod(mode)
        return file


def word(hosts, text):
    """Asks a server a four-letter word; returns None if there is no server."""
    host, port = hosts.rsplit(":", 1)
    try:
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(text.encode())
            return connection.recv(100).decode()
    except ConnectionError:
        return None


_wheels = None


def wheels():
    """Returns a folder with a wheel of the name zk-mini that brings the program, as the published one will."""
    global _wheels
    if _wheels is None:
        _wheels = tempfile.TemporaryDirectory(prefix="zk-mini-wheels-")
        pack(Path(_wheels.name))
    return Path(_wheels.name)


def pack(folder):
    about = "zk_mini-0.0.1.dist-info"
    files = {
        # A script stands for the program, which is large.
        "zk_mini-0.0.1.data/scripts/zk-mini": f"#!/bin/sh\nexec '{PROGRAM}' \"$@\"\n".encode(),
        f"{about}/METADATA": b"Metadata-Version: 2.1\nName: zk-mini\nVersion: 0.0.1\n",
        f"{about}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: false\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},sha256={digest(data)},{len(data)}\n" for name, data in files.items())
    files[f"{about}/RECORD"] = (record + f"{about}/RECORD,,\n").encode()
    with zipfile.ZipFile(folder / "zk_mini-0.0.1-py3-none-any.whl", "w") as wheel:
        for name, data in files.items():
            about_file = zipfile.ZipInfo(name)
            about_file.external_attr = 0o100755 << 16
            wheel.writestr(about_file, data)


def digest(data):
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
