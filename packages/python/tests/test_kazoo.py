"""Tests as a user writes them, with kazoo."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, Callable

import pytest
from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import ConnectionLoss, NodeExistsError
from zk_mini import ZkMini

PATIENCE = 20
Connect = Callable[[], Any]


@pytest.fixture
def connect(zk: ZkMini) -> Iterator[Connect]:
    """Clients that end with the test."""
    clients = []

    def connected() -> KazooClient:
        client = KazooClient(zk.hosts, timeout=10)
        clients.append(client)
        client.start(PATIENCE)
        return client

    yield connected
    for client in clients:
        client.stop()
        client.close()


def test_a_watcher_hears_of_an_expiry(zk: ZkMini, connect: Connect) -> None:
    worker, watcher = connect(), connect()
    worker.create("/workers/a", ephemeral=True, makepath=True)
    seen: list[list[str]] = []
    empty = threading.Event()

    def changed(children: list[str]) -> None:
        seen.append(children)
        if not children:
            empty.set()

    watcher.ChildrenWatch("/workers", changed)
    zk.expire("/workers/a")

    assert empty.wait(PATIENCE), zk.explain("/workers/a")
    assert seen == [["a"], []]
    assert "expired by the test" in zk.explain("/workers/a")


def test_an_election_has_a_new_leader_when_the_old_one_expires(zk: ZkMini, connect: Connect, wait_for: Callable[..., None]) -> None:
    leads = {name: threading.Event() for name in "ab"}
    release = threading.Event()

    def lead(name: str) -> None:
        leads[name].set()
        release.wait(PATIENCE)

    elections, threads = {}, []
    for name in leads:
        elections[name] = connect().Election("/election", name)
        # The one that has lost its session fails when it gives up the lead.
        thread = threading.Thread(target=_quietly(elections[name].run), args=(lead, name))
        thread.start()
        threads.append(thread)
        if name == "a":
            assert leads["a"].wait(PATIENCE)
    wait_for(lambda: len(zk.children("/election")) == 2)
    assert not leads["b"].is_set()

    leader = min(zk.children("/election"), key=lambda name: name[-10:])
    zk.expire(f"/election/{leader}")

    assert leads["b"].wait(PATIENCE), zk.explain(f"/election/{leader}")
    release.set()
    for thread in threads:
        thread.join(PATIENCE)


def test_a_lock_is_free_after_the_lease_of_its_holder(zk: ZkMini, connect: Connect) -> None:
    holder, other = connect(), connect()
    assert holder.Lock("/lock").acquire(timeout=PATIENCE)
    lock = other.Lock("/lock")
    assert not lock.acquire(blocking=False)

    zk.freeze(holder.client_id[0])
    # In steps shorter than the timeout of 10 s: the other client is heard between them, and stays.
    for _ in range(3):
        other.get_children("/")
        zk.advance(5)

    assert lock.acquire(timeout=PATIENCE), zk.history_text()
    # The holder hears of it only now.
    lost = threading.Event()
    holder.add_listener(lambda state: lost.set() if state == KazooState.LOST else None)
    zk.thaw(holder.client_id[0])
    assert lost.wait(PATIENCE), zk.history_text()


def test_a_lost_reply_is_an_order_that_was_placed(zk: ZkMini, connect: Connect) -> None:
    client = connect()
    client.ensure_path("/orders")

    with zk.fault("create", "/orders/*", drop="after_apply", times=1) as lost:
        with pytest.raises(ConnectionLoss):
            client.create("/orders/1", b"tea")
        assert lost.fired == 1

    assert zk.get("/orders/1") == b"tea"
    client.retry(client.exists, "/orders/1")
    with pytest.raises(NodeExistsError):
        client.create("/orders/1", b"tea")


def test_a_disconnected_client_keeps_its_session(zk: ZkMini, connect: Connect) -> None:
    client = connect()
    states: list[str] = []
    back = threading.Event()

    def heard(state: str) -> None:
        states.append(state)
        if state == KazooState.CONNECTED:
            back.set()

    client.add_listener(heard)
    session = client.client_id[0]

    assert zk.disconnect(session) == hex(session)

    assert back.wait(PATIENCE), zk.history_text()
    assert states == [KazooState.SUSPENDED, KazooState.CONNECTED]
    assert client.client_id[0] == session


def _quietly(run: Callable[..., Any]) -> Callable[..., None]:
    def quiet(*args: Any) -> None:
        try:
            run(*args)
        except Exception:  # noqa: BLE001
            pass

    return quiet
