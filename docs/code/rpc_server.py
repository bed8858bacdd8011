#!/usr/bin/env python3
"""Serves one method, `echo`, and registers itself, so that any client of ours can find and call it.

    python3 rpc_server.py 127.0.0.1:2181
"""

import argparse
import json
import os
import signal
import threading

from kazoo.client import KazooClient

import rpc


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("zookeeper", help="HOST:PORT[,HOST:PORT...][/chroot]")
    parser.add_argument("--service", default="demo", help="register it under /SERVICE (default: %(default)s)")
    options = parser.parse_args()
    stop = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)  # before the threads start, which inherit it

    identity = f"python-{os.getpid()}"
    methods = {"echo": lambda request: {"echo": request, "from": identity}}
    with rpc.Server(("127.0.0.1", 0), options.service, identity, methods) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host, port = server.server_address
        zk = KazooClient(hosts=options.zookeeper)
        zk.start()
        zk.ensure_path(f"/{options.service}")
        data = json.dumps({"host": host, "port": port, "instance": identity}).encode()
        zk.create(f"/{options.service}/python-", data, ephemeral=True, sequence=True)
        print(f"ready {host}:{port}", flush=True)

        signal.sigwait(stop)
        zk.stop()  # leave the registry first, then stop serving
        zk.close()
        server.shutdown()


if __name__ == "__main__":
    main()
