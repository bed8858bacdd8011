#!/usr/bin/env python3
"""Registers a service, and registers it again when its session has expired.

    python3 producer_again.py 127.0.0.1:2181 127.0.0.1:8080
"""

import json
import queue
import signal
import sys
import threading

from kazoo.client import KazooClient, KazooState

stop = {signal.SIGTERM, signal.SIGINT}
signal.pthread_sigmask(signal.SIG_BLOCK, stop)

host, _, port = sys.argv[2].rpartition(":")
data = json.dumps({"host": host, "port": int(port)}).encode()
zk = KazooClient(hosts=sys.argv[1])
changes = queue.Queue()
zk.add_listener(changes.put)  # called in kazoo's own thread, which must not wait: so it only puts


def announce_in_each_session():
    is_lost = True
    while True:
        state = changes.get()
        if state == KazooState.LOST:
            is_lost = True  # the session is over, and its nodes are gone
        elif state == KazooState.CONNECTED and is_lost:
            is_lost = False
            zk.ensure_path("/demo")
            print("announced", zk.create("/demo/rpc", data, ephemeral=True, sequence=True), flush=True)
        # SUSPENDED, and then CONNECTED: the same session goes on, and the node is still there


threading.Thread(target=announce_in_each_session, daemon=True).start()
zk.start()
signal.sigwait(stop)
zk.stop()
zk.close()
print("stopped", flush=True)
