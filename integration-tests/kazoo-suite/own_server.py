"""Pytest plugin that checks that all tests talk to our server, and chooses the classes of tests of one part, as PART=1/2.

with_servers.py records each start of a server, and then whether it is ready or has failed.
"""

import os
import time

import pytest


def states():
    """Returns "ready", "failed", or "start" if neither is known yet, by server."""
    found = {}
    with open(os.environ["WITH_SERVERS_LOG"], encoding="utf-8") as lines:
        for line in lines:
            state, server = line.split(maxsplit=1)
            found[server.strip()] = state
    return found


def pytest_collection_modifyitems(config, items):
    part, parts = map(int, os.environ.get("PART", "1/1").split("/"))
    # Each class starts its servers anew.
    classes = list(dict.fromkeys(item.nodeid.rpartition("::")[0] for item in items))
    own = set(classes[part - 1 :: parts])
    chosen = [item for item in items if item.nodeid.rpartition("::")[0] in own]
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = chosen


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
