#!/usr/bin/env python3
"""Finds a service in the registry and calls it: prints the reply as JSON.

    python3 rpc_client.py 127.0.0.1:2181 ping '{"n": 7}'
"""

import argparse
import json
import random
import socket

from kazoo.client import KazooClient

import rpc


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("zookeeper", help="HOST:PORT[,HOST:PORT...][/chroot]")
    parser.add_argument("method")
    parser.add_argument("request", help="as JSON")
    parser.add_argument("--service", default="demo", help="find it under /SERVICE (default: %(default)s)")
    options = parser.parse_args()

    zk = KazooClient(hosts=options.zookeeper)
    zk.start()
    instance_id = random.choice(zk.get_children(f"/{options.service}"))
    data, _stat = zk.get(f"/{options.service}/{instance_id}")
    instance = json.loads(data)
    zk.stop()
    zk.close()

    with socket.create_connection((instance["host"], instance["port"]), timeout=10) as connection:
        reply = rpc.Client(connection, options.service).call(options.method, json.loads(options.request), 5_000)
    print(json.dumps(reply))


if __name__ == "__main__":
    main()
