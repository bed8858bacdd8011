#!/usr/bin/env python3
"""kazoo's own queues, counters and barriers: `recipes.py SERVERS RECIPE STEP [STEP ...]` does the steps in order, and prints what each
gives as a line of JSON. A step is a method of the recipe, with its argument behind an equals sign.
"""

import json
import os
import sys

from kazoo.client import KazooClient


class Queue:
    def __init__(self, queue):
        self.queue = queue

    def put(self, value):
        self.queue.put(value.encode())

    def put_first(self, value):
        self.queue.put(value.encode(), priority=1)

    def get(self):
        return self.queue.get().decode()

    def count(self):
        return len(self.queue)


class LockingQueue(Queue):
    def consume(self):
        return self.queue.consume()

    def die(self):
        os._exit(0)


class Counter:
    def __init__(self, counter):
        self.counter = counter

    def add(self, times):
        for _ in range(int(times)):
            self.counter += 1

    def value(self):
        return self.counter.value


class Barrier:
    def __init__(self, barrier):
        self.barrier = barrier

    def create(self):
        self.barrier.create()

    def remove(self):
        return self.barrier.remove()

    def wait(self):
        print("waiting", flush=True)
        return self.barrier.wait(60)


class DoubleBarrier:
    def __init__(self, barrier):
        self.barrier = barrier

    def enter(self):
        self.barrier.enter()
        return self.barrier.participating

    def leave(self):
        self.barrier.leave()


RECIPES = {
    "queue": lambda zk: Queue(zk.Queue("/queue")),
    "locking_queue": lambda zk: LockingQueue(zk.LockingQueue("/locking_queue")),
    "counter": lambda zk: Counter(zk.Counter("/counter")),
    "curator_counter": lambda zk: Counter(zk.Counter("/curator_counter", support_curator=True)),
    "barrier": lambda zk: Barrier(zk.Barrier("/barrier")),
    "double_barrier": lambda zk: DoubleBarrier(zk.DoubleBarrier("/double_barrier", 3)),
}


def main():
    servers, name, *steps = sys.argv[1:]
    zk = KazooClient(hosts=servers)
    zk.start()
    # Changes that another client made first are tried again for as long as it takes.
    zk.retry.max_tries = -1
    recipe = RECIPES[name](zk)
    for step in steps:
        method, _, argument = step.partition("=")
        result = getattr(recipe, method)(*([argument] if argument else []))
        print(json.dumps([method, result]), flush=True)
    zk.stop()


if __name__ == "__main__":
    main()
