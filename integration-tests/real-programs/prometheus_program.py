"""Prometheus' serverset discovery: its targets follow members that come, end, pause and expire, and a server that restarts."""

import json
import sys
import urllib.request
from pathlib import Path

from debian import unpacked
from servers import free_port

MEMBER = Path(__file__).with_name("prometheus_member.py")
PACKAGES = {"prometheus": "2.42.0+ds-5+deb12u1"}
PATH = "/discovery/api"


def install(cache):
    """Downloads Prometheus."""
    unpacked(cache, PACKAGES)


class Prometheus:
    """A Prometheus with a session of two seconds."""

    def __init__(self, stage, cache):
        self.port = free_port()
        config = stage.folder / "prometheus.yml"
        config.write_text(
            "global: {scrape_interval: 500ms, scrape_timeout: 400ms}\n"
            f"scrape_configs:\n- job_name: api\n  serverset_sd_configs:\n"
            f"  - {{servers: ['{stage.server.hosts}'], paths: ['{PATH}'], timeout: 2s}}\n"
        )
        self.process = stage.start(
            [
                unpacked(cache, PACKAGES) / "usr/bin/prometheus", f"--config.file={config}",
                f"--web.listen-address=127.0.0.1:{self.port}", f"--storage.tsdb.path={stage.folder / 'tsdb'}",
            ],
            "prometheus",
        )  # fmt: skip

    def targets(self):
        """Returns its targets as it found them, in the order of their nodes, with their health."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/targets", timeout=5) as answer:
                active = json.load(answer)["data"]["activeTargets"]
        except OSError:
            return []
        targets = [{"health": target["health"], **target["discoveredLabels"]} for target in active]
        return sorted(targets, key=lambda target: target["__meta_serverset_path"])


def run(stage, cache):
    """Tells the story of members a, b, c and d."""
    stage.create(PATH)
    stage.watch(PATH)
    prometheus = Prometheus(stage, cache)
    members, owned = {}, {}

    def wait_for(*names):
        """Waits until these, and no others, are targets and healthy."""
        ports = sorted(f"127.0.0.1:{owned[name]}" for name in names)

        def is_so():
            targets = prometheus.targets()
            addresses = sorted(target["__address__"] for target in targets)
            return addresses == ports and all(target["health"] == "up" for target in targets)

        stage.until(f"the targets {names}; now {prometheus.targets()}", is_so)
        return prometheus.targets()

    def join(name):
        owned[name] = free_port()
        stage.name_port(owned[name], f"port of {name}")
        members[name] = stage.start([sys.executable, MEMBER, stage.server.hosts, PATH, owned[name]], name)

    join("a")
    stage.note("a has joined", wait_for("a"))
    join("b")
    stage.note("b has joined", wait_for("a", "b"))
    stage.note("the tree", stage.tree("/discovery"))
    members["a"].terminate()
    stage.note("a has ended", wait_for("b"))
    stage.note("events", stage.events(r"^deleted .*member_"))

    stage.freeze(members["b"])
    stage.note("b's session has expired while b was paused", wait_for())
    stage.thaw(members["b"])
    stage.note("b goes on, with a new session", wait_for("b"))

    stage.server.restart()
    join("c")
    stage.note("c has joined after a restart", wait_for("b", "c"))

    stage.until("Prometheus' session again", lambda: stage.sessions() == 5)
    stage.freeze(prometheus.process)
    stage.until("the end of Prometheus' session", lambda: stage.sessions() == 4)
    stage.kill(members["c"])
    join("d")
    stage.until("d's node, and the end of c's", lambda: len(stage.children(PATH)) == 2 and has_node(stage, owned["d"]))
    stage.thaw(prometheus.process)
    stage.note("Prometheus with a new session sees what it missed", wait_for("b", "d"))
    stage.note("the tree at the end", stage.tree("/discovery"))

    if hasattr(stage.server, "expire"):
        before = stage.children(PATH)
        stage.server.expire(f"{PATH}/{before[0]}")
        stage.until("the expired member again", lambda: stage.children(PATH)[:1] == before[1:] and len(stage.children(PATH)) == 2)
        wait_for("b", "d")


def has_node(stage, port):
    """Tells if a member with this port has a node."""
    return any(f'"port": {port}' in line for line in stage.tree(PATH))
