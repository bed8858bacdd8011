"""Spark's standalone high availability: two masters and a worker; the leading master is killed, and the server restarts."""

import json
import shutil
import subprocess
import sys
import tarfile
import urllib.request
from pathlib import Path

from servers import Missing, free_port

VERSION = "3.5.6"
DIR = "/spark"
HEAP = ["-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
# What Spark's own launcher opens for Java 17.
OPENS = [
    f"--add-opens=java.base/{name}=ALL-UNNAMED"
    for name in ("java.lang", "java.lang.invoke", "java.lang.reflect", "java.io", "java.net", "java.nio", "java.util",
                 "java.util.concurrent", "sun.nio.ch", "sun.security.action")
]  # fmt: skip


def install(cache):
    """Downloads PySpark from PyPI, and takes Spark's jars out of it."""
    jars = cache / f"spark-{VERSION}"
    if jars.is_dir():
        return
    folder = cache / "spark-download"
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / f"pyspark-{VERSION}.tar.gz"
    if not archive.is_file():
        # The source package asks for setuptools before pip hands it out.
        for words in (["install", "--quiet", "setuptools", "wheel"],
                      ["download", "--no-deps", "--no-build-isolation", "--dest", folder, f"pyspark=={VERSION}"]):  # fmt: skip
            if subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", *words], stdout=sys.stderr).returncode:
                raise Missing(f"pip download pyspark=={VERSION} failed: see above (PyPI, 317 MB)")
    with tarfile.open(archive) as packed:
        inside = f"pyspark-{VERSION}/deps/jars/"
        packed.extractall(folder, [member for member in packed.getmembers() if member.name.startswith(inside)])
    (folder / inside).rename(jars)
    shutil.rmtree(folder)


class Master:
    """A Spark master."""

    def __init__(self, stage, jars, name):
        self.stage, self.jars, self.name = stage, jars, name
        self.port, self.page = free_port(), free_port()
        stage.name_port(self.port, f"port of {name}")
        stage.name_port(self.page, f"page of {name}")
        self.process = None

    def start(self):
        """Starts it."""
        settings = {
            "spark.deploy.recoveryMode": "ZOOKEEPER",
            "spark.deploy.zookeeper.url": self.stage.server.hosts,
            "spark.deploy.zookeeper.dir": DIR,
            "spark.worker.timeout": "30",
        }
        options = [f"-D{key}={value}" for key, value in settings.items()]
        addresses = ["--host", "127.0.0.1", "--port", self.port, "--webui-port", self.page]
        command = ["java", *HEAP, *OPENS, *options, "-cp", f"{self.jars}/*", "org.apache.spark.deploy.master.Master"]
        self.process = self.stage.start([*command, *addresses], self.name)

    def state(self):
        """Returns its status, and its workers as it sees them."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.page}/json/", timeout=5) as answer:
                said = json.load(answer)
        except OSError:
            return "gone", []
        return said["status"], [f"{worker['state']}, {worker['cores']} core" for worker in said["workers"]]


def run(stage, cache):
    """Tells the story of masters a and b."""
    jars = cache / f"spark-{VERSION}"
    stage.same(r"worker-\d{14}-127\.0\.0\.1-\d+", "worker-TIME-PORT")
    stage.same(r"_c_[0-9a-f-]{36}-", "_c_UUID-")
    a, b = Master(stage, jars, "a"), Master(stage, jars, "b")

    def wait_for(master, status, workers):
        wanted = (status, ["ALIVE, 1 core"] * workers)
        stage.until(f"{master.name}: {wanted}", lambda: master.state() == wanted, 120)
        return wanted

    a.start()
    stage.note("a leads", wait_for(a, "ALIVE", 0))
    b.start()
    stage.note("b stands by", wait_for(b, "STANDBY", 0))
    both = f"spark://127.0.0.1:{a.port},127.0.0.1:{b.port}"
    addresses = ["--host", "127.0.0.1", "--webui-port", free_port(), "--cores", 1, "--memory", "512m", "--work-dir", stage.folder / "work"]
    command = ["java", *HEAP, *OPENS, "-cp", f"{jars}/*", "org.apache.spark.deploy.worker.Worker"]
    stage.start([*command, *addresses, both], "worker")
    stage.note("a has a worker", wait_for(a, "ALIVE", 1))
    stage.until("b's node of the election", lambda: len(stage.children(f"{DIR}/leader_election")) == 2)
    stage.note("the tree", stage.tree(DIR, data=False))

    stage.watch(DIR)
    stage.kill(a.process)
    stage.note("a is dead, b leads, and has the worker", wait_for(b, "ALIVE", 1))
    stage.until("the end of a's session", lambda: len(stage.children(f"{DIR}/leader_election")) == 1)
    stage.note("events", stage.events("deleted .*latch"))
    stage.note("the tree with b", stage.tree(DIR, data=False))
    a.start()
    stage.note("a stands by", wait_for(a, "STANDBY", 0))

    stage.server.stop()
    stage.until("the end of b, which no longer knows that it leads", lambda: b.process.poll() is not None, 120)
    stage.note("b ends itself without a server, with status", b.process.returncode)
    stage.server.start()
    stage.until("a to lead", lambda: a.state()[0] == "ALIVE", 120)
    stage.until("a to have the worker", lambda: "ALIVE, 1 core" in a.state()[1], 120)
    stage.note("a leads again after the server's restart", a.state()[0])

    if hasattr(stage.server, "expire"):
        b.start()
        wait_for(b, "STANDBY", 0)
        latches = [f"{DIR}/leader_election/{name}" for name in stage.children(f"{DIR}/leader_election")]
        stage.server.expire(min(latches, key=lambda path: path[-10:]))
        stage.until("b to lead when the session of a has expired", lambda: b.state()[0] == "ALIVE", 120)
