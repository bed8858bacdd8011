"""Blocks of free ports; standard library only."""

import contextlib
import random
import socket

# Below the ports that the system gives to outgoing connections, and beside those of the Rust tests.
FIRST, LAST = 10_000, 20_000


@contextlib.contextmanager
def reserved(count):
    """Gives the first of so many free ports in a row.

    Until the end, the unused UDP ports of the same numbers mark them as taken, so that another run takes others, even before a
    server listens and after it has stopped. The Rust tests do the same. Raises `OSError` if there are not so many.
    """
    blocks = list(range(FIRST, LAST, count))
    random.shuffle(blocks)
    for first in blocks:
        try:
            marks = marked(range(first, first + count))
        except OSError:
            continue
        with marks:
            yield first
        return
    raise OSError(f"no {count} free ports in a row from {FIRST} to {LAST}")


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
