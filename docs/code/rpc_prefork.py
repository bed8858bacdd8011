#!/usr/bin/env python3
"""An RPC service of two processes on one port, each of which announces itself in ZooKeeper.

    python3 rpc_prefork.py 127.0.0.1:2181
"""

import json
import os
import signal
import socket
import sys
import threading

from kazoo.client import KazooClient

import rpc

WORKERS = 2
GRACE_SECONDS = 5
STOP = {signal.SIGTERM, signal.SIGINT}
WANTED = STOP | {signal.SIGCHLD, signal.SIGALRM}


def work(servers, listener, parent_is_there):
    """Serves until SIGTERM, or until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ^C goes to the whole group; the parent tells its workers
    threading.Thread(target=leave_with_the_parent, args=[parent_is_there], daemon=True).start()
    identity = f"python-{os.getpid()}"
    methods = {"ping": lambda text: text, "pid": lambda _: os.getpid()}
    server = rpc.Server(listener.getsockname(), "demo", identity, methods, listener)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    # After the fork: threads and connections do not survive one.
    zk = KazooClient(hosts=servers)
    zk.start()
    zk.ensure_path("/demo")
    host, port = listener.getsockname()
    data = json.dumps({"host": host, "port": port, "instance": identity}).encode()
    zk.create("/demo/rpc", data, ephemeral=True, sequence=True)

    signal.sigwait({signal.SIGTERM})
    zk.stop()  # leave the registry first, then stop serving
    zk.close()
    server.shutdown()


def leave_with_the_parent(parent_is_there):
    os.read(parent_is_there, 1)  # nobody writes: it ends with the parent
    os.kill(os.getpid(), signal.SIGTERM)


def main():
    signal.pthread_sigmask(signal.SIG_BLOCK, WANTED)
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    listener.setblocking(False)  # two workers wake up for one connection; the slower one goes on waiting
    parent_is_there, held = os.pipe()
    workers = set()

    def start():
        pid = os.fork()
        if pid == 0:
            os.close(held)
            work(sys.argv[1], listener, parent_is_there)
            os._exit(0)
        workers.add(pid)

    for _ in range(WORKERS):
        start()
    print("ready %s:%d" % listener.getsockname(), flush=True)

    stops = False
    while workers or not stops:
        got = signal.sigwait(WANTED)
        if got in STOP and not stops:
            stops = True
            signal.alarm(GRACE_SECONDS)
        if stops and got != signal.SIGCHLD:
            for pid in workers:
                os.kill(pid, signal.SIGKILL if got == signal.SIGALRM else signal.SIGTERM)
        while workers:
            pid, _status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            workers.remove(pid)
            if not stops:
                print("a worker has died; another one takes its place", flush=True)
                start()
    print("stopped", flush=True)


if __name__ == "__main__":
    main()
