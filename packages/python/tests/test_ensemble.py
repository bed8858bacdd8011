"""The servers of an ensemble are broken and mended, with kazoo."""

from __future__ import annotations

import datetime
import socket
from collections.abc import Iterator
from typing import Any, Callable

import pytest
from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import ConnectionLoss
from kazoo.protocol.states import KeeperState
from zk_mini import ApiError, ConflictError, NotFoundError, ZkMini, ZkMiniError

pytestmark = pytest.mark.zk(servers=3)

Connect = Callable[..., Any]


@pytest.fixture
def connect() -> Iterator[Connect]:
    clients = []

    def connect(hosts: str, **options: Any) -> Any:
        client = KazooClient(hosts, timeout=10, **options)
        clients.append(client)
        client.start(20)
        return client

    yield connect
    for client in clients:
        client.stop()
        client.close()


def test_the_servers_are_listed(zk: ZkMini) -> None:
    servers = zk.servers()
    assert [(each.number, each.role, each.state) for each in servers] == [
        (1, "follower", "running"),
        (2, "follower", "running"),
        (3, "leader", "running"),
    ]
    assert zk.hosts == ",".join(each.address for each in servers)
    assert zk.server(2).hosts == servers[1].address
    assert {each.last_zxid for each in servers} == {zk.status().last_zxid}
    assert zk.server(1).info() == servers[0]
    assert (servers[0].lag_transactions, servers[0].lag_ms, servers[0].behind) == (None, None, 0)


def test_attach_names_all_servers_unless_told_otherwise(zk: ZkMini) -> None:
    with ZkMini.attach(zk.http) as all_of_them, ZkMini.attach(zk.http, hosts="elsewhere:1") as told:
        assert all_of_them.hosts == zk.hosts
        assert told.hosts == "elsewhere:1"


@pytest.mark.zk(servers=1)
def test_a_single_server_has_no_servers(zk: ZkMini) -> None:
    assert zk.servers() == []
    with pytest.raises(NotFoundError, match="a single server"):
        zk.server(1).stop()
    with pytest.raises(NotFoundError, match="no server 1"):
        zk.server(1).info()


def test_a_client_outlives_its_server(zk: ZkMini, connect: Connect, wait_for: Any) -> None:
    client = connect(zk.hosts)
    client.create("/mine", b"", ephemeral=True)
    session = client.client_id[0]
    states: list[str] = []
    client.add_listener(states.append)
    port = client._connection._socket.getpeername()[1]
    served = next(each for each in zk.servers() if each.address.endswith(f":{port}"))

    assert zk.server(served.number).stop().state == "stopped"

    wait_for(lambda: states[-1:] == [KazooState.CONNECTED])
    assert KazooState.LOST not in states
    assert client.exists("/mine").owner_session_id == session
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5)
    assert zk.server(served.number).start().state == "running"
    assert zk.server(served.number).restart().role == "follower"


def test_all_servers_are_stopped_and_started(zk: ZkMini, connect: Connect, wait_for: Any) -> None:
    client = connect(zk.hosts)
    client.create("/kept")
    for number in (1, 2, 3):
        zk.server(number).stop()
    wait_for(lambda: client.state == KazooState.SUSPENDED)
    for number in (1, 2, 3):
        zk.server(number).start()
    wait_for(lambda: client.connected)
    assert client.exists("/kept")


def test_a_server_that_lags_shows_the_past_until_a_sync(zk: ZkMini, connect: Connect) -> None:
    reader, writer = connect(zk.server(1).hosts), connect(zk.server(2).hosts)
    assert zk.server(1).lag(5).lag_transactions == 5
    writer.create("/a")
    assert reader.exists("/a") is None
    assert zk.server(1).info().behind == 1
    reader.sync("/a")
    assert reader.exists("/a")
    assert zk.server(1).lag(time=datetime.timedelta(minutes=1)).lag_ms == 60_000
    writer.create("/b")
    assert reader.exists("/b") is None
    assert zk.server(1).no_lag().behind == 0
    assert reader.exists("/b")
    with pytest.raises(ConflictError, match="leads"):
        zk.server(3).lag(1)
    for given in ({}, {"transactions": 1, "time": 1}):
        with pytest.raises(ZkMiniError, match="by transactions or by a time"):
            zk.server(1).lag(**given)


def test_a_server_is_cut_off_frozen_and_elected(zk: ZkMini) -> None:
    assert zk.server(3).partition().state == "partitioned"
    assert zk.server(2).info().role == "leader"
    assert zk.server(3).heal().role == "follower"
    assert zk.server(3).freeze().state == "frozen"
    assert zk.server(3).thaw().state == "running"
    assert zk.server(1).lead().role == "leader"
    zk.server(2).stop()
    with pytest.raises(ConflictError, match="cannot lead"):
        zk.server(2).lead()
    port = int(zk.server(2).hosts.rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)), pytest.raises(ApiError, match=str(port)):
        zk.server(2).start()
    assert zk.server(2).start().state == "running"


def test_without_a_quorum_only_read_only_clients_are_served(zk: ZkMini, connect: Connect, wait_for: Any) -> None:
    zk.put("/a", "x")
    zk.lose_quorum()
    assert {each.state for each in zk.servers()} == {"read-only"}
    client = connect(zk.hosts, read_only=True)
    assert client.client_state == KeeperState.CONNECTED_RO
    assert client.get("/a")[0] == b"x"
    zk.regain_quorum()
    wait_for(lambda: client.client_state == KeeperState.CONNECTED)
    client.retry(client.create, "/b")


def test_a_client_that_is_not_read_only_is_out(zk: ZkMini, connect: Connect, wait_for: Any) -> None:
    client = connect(zk.hosts)
    zk.lose_quorum()
    wait_for(lambda: client.state != KazooState.CONNECTED)
    with pytest.raises((ConnectionLoss, client.handler.timeout_exception)):
        client.create_async("/a").get(timeout=0.2)
    zk.regain_quorum()
    wait_for(lambda: client.connected)
