"""Prints what a DataWatch and a ChildrenWatch of kazoo are told, and the states of the connection, one JSON list a line."""

import json
import sys
import threading

from kazoo.client import KazooClient


def tell(*what):
    print(json.dumps(what), flush=True)


client = KazooClient(hosts=sys.argv[1], timeout=10.0, connection_retry={"max_tries": -1, "delay": 0.05, "max_delay": 0.2})
client.add_listener(lambda state: tell("state", str(state)))
client.start()
client.ensure_path("/watched/a")


@client.DataWatch("/watched")
def data(value, stat):
    tell("data", None if value is None else value.decode())


@client.ChildrenWatch("/watched")
def children(names):
    tell("children", sorted(names))


threading.Event().wait()
