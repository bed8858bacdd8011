#!/usr/bin/env python3
"""Makes an ephemeral node with a number, and ends: by itself, or, with --crash, as a process ends that is killed.

    python3 announce.py 127.0.0.1:2181
"""

import os
import signal
import sys

from kazoo.client import KazooClient

zk = KazooClient(hosts=sys.argv[1])
zk.start()
zk.ensure_path("/demo")
path = zk.create("/demo/rpc", b'{"host":"127.0.0.1","port":8080}', ephemeral=True, sequence=True)
print("created", path)
print("now there are", sorted(zk.get_children("/demo")), flush=True)

if "--crash" in sys.argv:
    os.kill(os.getpid(), signal.SIGKILL)
zk.stop()
zk.close()
