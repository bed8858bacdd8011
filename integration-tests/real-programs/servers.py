"""The two servers that a program is run on: zk-mini, and Apache ZooKeeper. Both on loopback, with a data directory and short ticks."""

import json
import os
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
ZOOKEEPER_VERSION = "3.9.5"
TICK_MS = 500
MAX_SESSION_TIMEOUT_MS = 60000
# Seconds until a server has to answer; a cold JVM on a busy machine is slow.
START_WITHIN = 60


class Missing(Exception):
    """A component that is not there. The text says how to get it."""


def free_port():
    """Returns a port of loopback that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def answers(port):
    """Tells if a ZooKeeper server on this port of loopback says that it serves."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(b"srvr")
            return b"Mode: standalone" in connection.recv(4096)
    except OSError:
        return False


class Server:
    """A server on a port that stays the same when it is stopped and started again."""

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        self.hosts = f"127.0.0.1:{self.port}"
        self.process = None
        (folder / "data").mkdir(parents=True)

    def start(self):
        """Starts it. Returns when it serves."""
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until = time.monotonic() + START_WITHIN
        while not answers(self.port):
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{self.name} does not serve:\n{self.log_end()}")
            time.sleep(0.05)

    def stop(self):
        """Ends it as an operator does, by SIGTERM."""
        if self.process:
            self.process.terminate()
            self.process.wait(START_WITHIN)
            self.process = None

    def restart(self):
        """Stops and starts it. Sessions and data are in its data directory."""
        self.stop()
        self.start()

    def log_end(self):
        """Returns the last lines of its log."""
        return "\n".join((self.folder / "log").read_text(errors="replace").splitlines()[-20:])


class ZkMini(Server):
    """`zk-mini serve`, as `ZK_MINI` names it or as cargo has built it."""

    name = "zk-mini"

    @staticmethod
    def program():
        """Returns the program."""
        program = Path(os.environ.get("ZK_MINI", TARGET / "debug" / "zk-mini"))
        if not program.is_file():
            raise Missing(f"{program} is missing: cargo build --workspace --all-features --bin zk-mini, or set ZK_MINI")
        return program

    def command(self):
        """Returns the command that runs it."""
        return [
            self.program(), "serve", "--listen", self.hosts, "--data-dir", self.folder / "data",
            "--tick-ms", str(TICK_MS), "--max-session-timeout-ms", str(MAX_SESSION_TIMEOUT_MS),
        ]  # fmt: skip

    def expire(self, path):
        """Ends the session that owns the node at this path, now. Returns when its nodes are gone."""
        body = json.dumps({"owner_of": path}).encode()
        request = urllib.request.Request(
            f"http://{self.hosts}/v1/sessions/expire", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)["sessions"]


class ZooKeeper(Server):
    """Apache ZooKeeper, standalone."""

    name = "ZooKeeper"

    def command(self):
        """Writes its `zoo.cfg`. Returns the command that runs it."""
        jars = TARGET / "zookeeper" / ZOOKEEPER_VERSION
        if not (jars / f"zookeeper-{ZOOKEEPER_VERSION}.jar").is_file():
            raise Missing(f"Apache ZooKeeper {ZOOKEEPER_VERSION} is missing in {jars}: run ci/setup")
        config = self.folder / "zoo.cfg"
        config.write_text(
            f"tickTime={TICK_MS}\nmaxSessionTimeout={MAX_SESSION_TIMEOUT_MS}\ndataDir={self.folder / 'data'}\n"
            f"clientPortAddress=127.0.0.1\nclientPort={self.port}\nadmin.enableServer=false\n4lw.commands.whitelist=*\n"
        )
        return [
            "java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*",
            "org.apache.zookeeper.server.quorum.QuorumPeerMain", config,
        ]  # fmt: skip


SERVERS = (ZooKeeper, ZkMini)
