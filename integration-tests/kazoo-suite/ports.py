"""Runs a command with the first port of a block of ten free ones in ZOOKEEPER_PORT_OFFSET; standard library only.

usage: with_ports.py COMMAND [ARGUMENT...]

While the command runs, the unused UDP ports of the same numbers mark the block as taken, so that another run takes another
block, even before a server listens and after it has stopped. The Rust tests do the same.
"""

import contextlib
import os
import random
import socket
import subprocess
import sys

# Below the ports that the system gives to outgoing connections, and beside those of the Rust tests.
FIRST, LAST, BLOCK = 10_000, 20_000, 10


def marked(ports):
    """Returns sockets that mark these ports as taken. Raises `OSError` if one is marked or has a listener."""
    with contextlib.ExitStack() as held:
        for port in ports:
            mark = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            mark.bind(("127.0.0.1", port))
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                probe.bind(("0.0.0.0", port))
                probe.listen()
        return held.pop_all()


def main():
    blocks = list(range(FIRST, LAST, BLOCK))
    random.shuffle(blocks)
    for first in blocks:
        try:
            marks = marked(range(first, first + BLOCK))
        except OSError:
            continue
        with marks:
            environment = {**os.environ, "ZOOKEEPER_PORT_OFFSET": str(first)}
            sys.exit(subprocess.call(sys.argv[1:], env=environment))
    sys.exit(f"with_ports: no {BLOCK} free ports in a row from {FIRST} to {LAST}")


main()
