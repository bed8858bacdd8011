"""Pytest plugin that checks that all tests talk to our server.

The stand-in for `java` records each start of a server, and then its ready line or its end without one.
"""

import os
import time

import pytest


def states():
    """Returns "ready", "failed", or "start" if neither is known yet, by server."""
    found = {}
    with open(os.environ["KAZOO_SUITE_SERVERS"], encoding="utf-8") as lines:
        for line in lines:
            state, server = line.split(maxsplit=1)
            found[server.strip()] = state
    return found


def pytest_runtest_setup():
    failed = [server for server, state in states().items() if state == "failed"]
    if failed:
        pytest.exit(f"kazoo-suite: a server does not listen: {', '.join(failed)}", returncode=3)


def pytest_sessionfinish(session):
    # The last server may have been started just now.
    deadline = time.monotonic() + 10
    while "start" in states().values() and time.monotonic() < deadline:
        time.sleep(0.05)
    found = states()
    if not found or set(found.values()) != {"ready"}:
        print(f"\nkazoo-suite: not every server was ours and ready: {found}")
        session.exitstatus = 3
