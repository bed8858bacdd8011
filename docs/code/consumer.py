#!/usr/bin/env python3
"""Watches a service: prints the addresses of its instances as a line of JSON, at the start and after each change.

    python3 consumer.py 127.0.0.1:2181
"""

import argparse
import json
import signal

from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError


class Consumer:
    def __init__(self, zk, path):
        self.zk = zk
        self.path = path

    def look(self, _event=None):
        """Prints the instances, and runs again after a change: a watch fires once, so each call sets the next one."""
        if not self.zk.connected:
            return  # kazoo calls watchers for a lost connection, too
        instances = []
        for child in self.zk.get_children(self.path, watch=self.look):
            try:
                data, _stat = self.zk.get(f"{self.path}/{child}")
                instance = json.loads(data)
                instances.append(f"{instance['host']}:{instance['port']}")
            except NoNodeError:
                continue  # deleted between the list and the read; the watch has fired
            except (ValueError, KeyError, TypeError):
                continue  # not an instance
        print(json.dumps(sorted(instances)), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("zookeeper", help="HOST:PORT[,HOST:PORT...][/chroot]")
    parser.add_argument("--service", default="demo", help="watch /SERVICE (default: %(default)s)")
    options = parser.parse_args()
    stop = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)  # before kazoo starts its threads, which inherit it

    zk = KazooClient(hosts=options.zookeeper)
    zk.start()
    zk.ensure_path(f"/{options.service}")
    Consumer(zk, f"/{options.service}").look()

    signal.sigwait(stop)
    zk.stop()
    zk.close()


if __name__ == "__main__":
    main()
