#!/usr/bin/env python3
"""kazoo's own locks and elections: `locks.py SERVERS ROUNDS RECIPE [RECIPE ...]` takes each so many times, once the node `/RECIPE/go`
exists, and prints `done RECIPE`. The lock is at `/RECIPE/lock`. Who has it makes nodes below `/RECIPE/inside` and fails if it is not
alone there. A recipe whose name begins with `plain_` knows no names but kazoo's.
"""

import sys
import time

from kazoo.client import KazooClient


class Recipe:
    def __init__(self, zk, name):
        self.zk, self.name, self.path = zk, name, f"/{name}/lock"
        self.is_plain = name.startswith("plain_")

    def run(self, rounds):
        for number in range(rounds):
            self.take(self.name.removeprefix("plain_"), alone=number % 2 == 0)

    def take(self, kind, alone):
        if kind == "read_write":
            make = self.zk.WriteLock if alone else self.zk.ReadLock
            others = ["__READ__", "__WRIT__"] if alone else ["__WRIT__"]
            with self.lock(make, others):
                self.inside(alone)
            return
        lock = self.lock(self.zk.Lock, ["lock-"])
        if kind == "election":
            election = self.zk.Election(self.path)
            election.lock = lock
            election.run(self.inside, True)
        else:
            with lock:
                self.inside(True)

    def lock(self, make, others):
        return make(self.path, "kazoo", extra_lock_patterns=() if self.is_plain else others)

    def inside(self, alone):
        place = f"/{self.name}/inside"
        node = self.zk.create(f"{place}/{'alone' if alone else 'shared'}-", ephemeral=True, sequence=True)
        names = self.zk.get_children(place)
        wrong = len(names) > 1 if alone else any(name.startswith("alone") for name in names)
        if wrong:
            sys.exit(f"{node} is inside with {names}")
        time.sleep(0.002)
        self.zk.delete(node)


def main():
    servers, rounds, *recipes = sys.argv[1:]
    zk = KazooClient(hosts=servers)
    zk.start()
    print("ready", flush=True)
    for name in recipes:
        while not zk.exists(f"/{name}/go"):
            time.sleep(0.005)
        Recipe(zk, name).run(int(rounds))
        print(f"done {name}", flush=True)
    zk.stop()
    zk.close()


if __name__ == "__main__":
    main()
