#!/usr/bin/env python3
"""The recipes of kazoo's tutorial and of the book's, as they are, under torture:

    zk-mini torture -- python3 kazoo_recipe.py
"""

import json
import os
import signal

from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError

PATH, NAME = os.environ["ZK_MINI_PATH"], os.environ["ZK_MINI_NAME"]


def say(**belief):
    print(json.dumps(belief), flush=True)


def register(zk):
    zk.ensure_path(PATH)
    zk.create(f"{PATH}/rpc", os.environ["ZK_MINI_DATA"].encode(), ephemeral=True, sequence=True)
    say(registered=True)


def discover(zk):
    def look(_event=None):
        if not zk.connected:
            return
        members = []
        for child in zk.get_children(PATH, watch=look):
            try:
                members.append(json.loads(zk.get(f"{PATH}/{child}")[0])["name"])
            except (NoNodeError, ValueError, KeyError, TypeError):
                continue
        say(members=members)

    zk.ensure_path(PATH)
    look()


def lock(zk):
    zk.Lock(PATH, NAME).acquire()
    say(held=True)


def main():
    stop = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)  # before kazoo starts its threads, which inherit it
    timeout = int(os.environ["ZK_MINI_SESSION_TIMEOUT_MS"]) / 1_000
    zk = KazooClient(hosts=os.environ["ZK_MINI_SERVERS"], timeout=timeout)
    zk.start()
    {"register": register, "discover": discover, "lock": lock}[os.environ["ZK_MINI_ROLE"]](zk)
    signal.sigwait(stop)
    zk.stop()
    zk.close()


if __name__ == "__main__":
    main()
