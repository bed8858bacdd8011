"""A Spring Cloud service: two instances register, a caller finds and calls them; one is killed; the server restarts; one expires."""

import json
import urllib.request

from jars import HEAP, installed
from servers import free_port

PATH = "/services/orders"


def install(cache):
    """Fetches Spring Boot and Spring Cloud ZooKeeper."""
    installed(cache, "spring", "Service.java")


class Instance:
    """A Spring Boot application."""

    def __init__(self, stage, cache, service, name):
        self.stage, self.name, self.service = stage, name, service
        self.port, self.classes = free_port(), installed(cache, "spring", "Service.java")
        stage.name_port(self.port, f"port of {name}")
        self.process = None

    def start(self):
        """Starts it. Returns when it answers."""
        settings = {
            "instance": self.name,
            "server.address": "127.0.0.1",
            "server.port": self.port,
            "spring.application.name": self.service,
            "spring.cloud.loadbalancer.cache.enabled": "false",
            "spring.cloud.zookeeper.connect-string": self.stage.server.hosts,
            "spring.cloud.zookeeper.session-timeout": "3s",
            "spring.cloud.zookeeper.discovery.instance-host": "127.0.0.1",
        }
        options = [f"--{key}={value}" for key, value in settings.items()]
        command = ["java", "-Xmx128m", *HEAP, "-cp", self.classes, "shop.Service", *options]
        self.process = self.stage.start(command, self.name)
        self.stage.until(f"{self.name} to answer", lambda: self.process.poll() is not None or self.ask("who") == self.name, 120)
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} has ended, see its log")

    def ask(self, what):
        """Returns the answer to a GET, or nothing."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{what}", timeout=10) as answer:
                return answer.read().decode()
        except OSError:
            return None


def run(stage, cache):
    """Tells the story of instances a and b, and of a caller."""
    a, b = Instance(stage, cache, "orders", "a"), Instance(stage, cache, "orders", "b")
    caller = Instance(stage, cache, "shop", "caller")
    stage.same(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}", "UUID")
    stage.same(r'"registrationTimeUTC":\d+', '"registrationTimeUTC":TIME')

    def wait_for(*instances):
        """Waits until the caller finds these, and no others, and they answer. Returns who answers, and the nodes."""
        found = sorted(f"127.0.0.1:{instance.port}" for instance in instances)
        stage.until(f"the instances {found}", lambda: json.loads(caller.ask("instances") or "null") == found)
        who = {instance.name for instance in instances}
        stage.until(f"answers of {who}", lambda: {caller.ask("call") for _ in range(4)} == who)
        return [sorted(who), stage.tree("/services", data=False)]

    for instance in (a, b, caller):
        instance.start()
    stage.note("both are found", wait_for(a, b))
    stage.note("what is written", registered(stage, a))
    stage.watch(PATH)
    stage.kill(a.process)
    stage.note("a is dead", wait_for(b))
    a.start()
    stage.note("a is back", wait_for(a, b))
    stage.note("events", stage.events("created .*orders/"))
    b.process.terminate()
    stage.note("b has ended", wait_for(a))
    b.start()
    stage.server.restart()
    stage.note("after a restart of the server", wait_for(a, b))

    if hasattr(stage.server, "expire"):
        before = stage.children(PATH)
        stage.server.expire(f"{PATH}/{before[0]}")
        stage.until("the expired instance again", lambda: len(stage.children(PATH)) == 2, 120)
        wait_for(a, b)


def registered(stage, instance):
    """Returns what an instance has written of itself."""
    written = [stage.get(f"{PATH}/{name}").decode() for name in stage.children(PATH)]
    return [text for text in written if f":{instance.port}," in text]
