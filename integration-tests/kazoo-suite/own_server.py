"""A pytest plugin: the tests are worth something only if it is our server that they talk to.

The stand-in for `java` notes each start of a server, and its ready line or its end without one.
"""

import os
import time

import pytest


def states():
    """Of each server that was started: "ready", "failed", or "start" if neither is known yet."""
    found = {}
    with open(os.environ["KAZOO_SUITE_SERVERS"], encoding="utf-8") as lines:
        for line in lines:
            state, server = line.split(maxsplit=1)
            found[server.strip()] = state
    return found


def pytest_runtest_setup():
    failed = [server for server, state in states().items() if state == "failed"]
    if failed:
        pytest.exit(f"kazoo-suite: a server did not come to listen: {', '.join(failed)}", returncode=3)


def pytest_sessionfinish(session):
    # A server may have been started a moment ago.
    deadline = time.monotonic() + 10
    while "start" in states().values() and time.monotonic() < deadline:
        time.sleep(0.05)
    found = states()
    if not found or set(found.values()) != {"ready"}:
        print(f"\nkazoo-suite: not every server was ours and ready: {found}")
        session.exitstatus = 3
