"""kombu's ZooKeeper transport: a queue between processes; the server restarts in between, and a consumer dies."""

import json
import subprocess
import sys
from pathlib import Path

WORKER = Path(__file__).with_name("kombu_worker.py")


def install(_cache):
    """kombu is in requirements.txt."""


class Worker:
    """A process with one connection of kombu. It does what it is told, and answers."""

    def __init__(self, stage, name):
        url = f"zookeeper://{stage.server.hosts}/shop"
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = stage.start([sys.executable, WORKER, url], name, **pipes)

    def tell(self, *words):
        """Gives an order."""
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()

    def answer(self):
        """Returns the answer to the oldest order without one."""
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError("a worker of kombu ended, see its log")
        return json.loads(line)

    def ask(self, *words):
        """Returns the answer to an order."""
        self.tell(*words)
        return self.answer()


def run(stage, _cache):
    """Tells the story of a producer and two consumers."""
    stage.watch("/shop")
    producer, consumer = Worker(stage, "producer"), Worker(stage, "consumer")
    for text in ("tea", "milk", "sugar"):
        producer.ask("put", text, 0)
    producer.ask("put", "urgent", 9)
    stage.note("the queue", stage.tree("/shop", data=False))
    stage.note("taken first", [consumer.ask("get") for _ in range(2)])

    stage.note("events before the restart", stage.events("deleted /shop/orders/entry-009"))

    stage.server.stop()
    producer.ask("disconnected")
    producer.tell("put", "bread", 0)
    stage.server.start()
    stage.note("a put that began while no server was there", producer.answer())
    stage.note("the queue after the restart", stage.tree("/shop", data=False))
    stage.watch("/shop")
    producer.ask("put", "butter", 0)
    stage.note("taken by the same connection", consumer.ask("get"))

    stage.kill(consumer.process)
    second = Worker(stage, "second")
    stage.note("taken by another consumer", [second.ask("get") for _ in range(3)])
    stage.note("nothing is left", second.ask("get"))
    second.ask("put", "last", 0)
    second.ask("delete")
    stage.note("the queue is deleted", stage.tree("/shop", data=False))
    stage.note("events after the restart", stage.events(r"^deleted /shop/orders$"))
