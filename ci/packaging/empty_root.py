"""The static program on an empty root: no library, /proc, /dev, /etc or /tmp."""

import os
import shutil
import tempfile
import urllib.request
from pathlib import Path

from .complaint import Complaint
from .process import Server, run
from .zookeeper import Session

HTTP = {"/": b"<html", "/v1/tree?path=/a": b"of a client", "/metrics": b"\n", "/commands/ruok": b"ruok"}


def serves(server, path=b"/a"):
    """Speaks ZooKeeper's protocol with a server."""
    session = Session(server.port)
    session.create(path, b"of a client")
    if session.get(path) != b"of a client":
        raise Complaint("the node has not the data that was written")
    session.close()


def fetch(url):
    with urllib.request.urlopen(url, timeout=60) as answer:
        return answer.read()


def check(program):
    with tempfile.TemporaryDirectory() as root:
        shutil.copy(program, Path(root, "zk-mini"))
        with Server(root, ["/zk-mini", "serve", "--listen", "127.0.0.1:0"]) as server:
            serves(server)
            for path, part in HTTP.items():
                if part not in fetch(server.ready["http"] + path):
                    raise Complaint(f"{path} on an empty root: {part!r} is not in the answer")
            if run(root, "/zk-mini", "get", "/a", "--server", f"127.0.0.1:{server.port}") != "of a client":
                raise Complaint("the client in the program gets other data")
        left = sorted(os.listdir(root))
        if left != ["zk-mini"]:
            raise Complaint(f"a server without --data-dir leaves files: {left}")

        on_disk = ["/zk-mini", "serve", "--listen", "127.0.0.1:0", "--data-dir", "/data", "--pid-file", "/zk.pid"]
        with Server(root, on_disk) as server:
            serves(server, b"/b")
        with Server(root, on_disk) as server:
            if Session(server.port).get(b"/b") != b"of a client":
                raise Complaint("a restarted server has lost a node")
        run(root, "/zk-mini", "fsck", "/data")

        # Without /proc/self/exe the program finds itself by the name under which it was started.
        run(root, "/zk-mini", "exec", "--", "/zk-mini", "create", "/c", "of a command")
    print("an empty root: serve, HTTP, a disk, the client, exec", flush=True)
