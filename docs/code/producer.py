#!/usr/bin/env python3
"""Registers a service: one ephemeral node that lives as long as this process.

    python3 producer.py 127.0.0.1:2181 127.0.0.1:8080
"""

import argparse
import json
import signal

from kazoo.client import KazooClient


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("zookeeper", help="HOST:PORT[,HOST:PORT...][/chroot]")
    parser.add_argument("address", help="HOST:PORT of the service")
    parser.add_argument("--service", default="demo", help="register it under /SERVICE (default: %(default)s)")
    parser.add_argument("--session-timeout", type=float, default=10.0, metavar="SECONDS")
    options = parser.parse_args()
    stop = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)  # before kazoo starts its threads, which inherit it

    host, _, port = options.address.rpartition(":")
    zk = KazooClient(hosts=options.zookeeper, timeout=options.session_timeout)
    zk.start()
    zk.ensure_path(f"/{options.service}")
    data = json.dumps({"host": host, "port": int(port)}).encode()
    path = zk.create(f"/{options.service}/rpc", data, ephemeral=True, sequence=True)
    print(f"announced {path}", flush=True)

    signal.sigwait(stop)
    zk.stop()  # closes the session: the node goes at once
    zk.close()
    print("stopped", flush=True)


if __name__ == "__main__":
    main()
