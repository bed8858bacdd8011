"""Every call of the control."""

from __future__ import annotations

import contextlib
import datetime
import os
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Callable

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import NoAuthError
from zk_mini import BadRequestError, ConflictError, MissedError, NotFoundError, ServerGoneError, TooOldError, ZkMini, ZkMiniError


@pytest.fixture
def client(zk: ZkMini) -> Any:
    client = KazooClient(zk.hosts, timeout=10)
    client.start(20)
    yield client
    client.stop()
    client.close()


def test_nodes(zk: ZkMini) -> None:
    assert zk.put("/config/colour", "grün") == "/config/colour"
    assert zk.put("/config/raw", b"\xff\x00") == "/config/raw"
    assert zk.put("/config/n-", sequential=True) == "/config/n-0000000002"
    assert zk.get("/config/colour") == "grün".encode()
    assert zk.get("/config/raw") == b"\xff\x00"
    assert zk.get("/config") == b""
    assert zk.children("/config") == ["colour", "n-0000000002", "raw"]
    assert zk.stat("/config/colour").version == 0
    assert zk.exists("/config/colour")
    assert not zk.exists("/config/none")
    with pytest.raises(ConflictError, match="has 3 children"):
        zk.delete("/config")
    assert zk.delete("/config", recursive=True) == 4
    with pytest.raises(NotFoundError, match=r"/config does not exist \(GET /v1/tree"):
        zk.get("/config")


def test_names_that_need_quoting(zk: ZkMini) -> None:
    path = "/a b/100%/ü?x=1#y&z"
    assert zk.put(path, "x") == path
    assert zk.get(path) == b"x"
    assert zk.delete(path) == 1


def test_a_path_without_a_slash_is_refused_at_once(zk: ZkMini) -> None:
    calls: list[Callable[[str], object]] = [zk.put, zk.delete, zk.tree, zk.get, zk.stat, zk.children, zk.exists, zk.explain]
    for call in calls:
        with pytest.raises(ValueError, match="'config' is no path of a node: it begins with a slash"):
            call("config")


def test_a_tree_is_whole_and_prints_as_one(zk: ZkMini, client: Any) -> None:
    client.create("/app/a/b", b"deep", makepath=True)
    client.create("/app/worker", b"", ephemeral=True)

    tree = zk.tree("/app")

    assert tree.children[0].children[0].data == b"deep"
    assert tree.children[1].is_ephemeral
    session = hex(client.client_id[0])
    assert str(tree) == f"/app\n  a\n    b  b'deep'\n  worker  (ephemeral  of session {session})"
    assert zk.tree("/app", depth=0).children == ()


def test_the_past(zk: ZkMini) -> None:
    zk.put("/a", "1")
    then = zk.status().last_zxid
    zk.put("/a", "2")
    zk.put("/b")

    assert zk.tree("/a", zxid=then).data == b"1"
    changes = zk.diff(then).changes
    assert [(change.path, change.what, change.before, change.after) for change in changes] == [
        ("/a", "changed", b"1", b"2"),
        ("/b", "created", None, b""),
    ]
    with pytest.raises(TooOldError):
        zk.tree("/a", zxid="0x1")


def test_a_difference_says_what_is_left_out(zk: ZkMini) -> None:
    then = zk.status().last_zxid
    for number in range(5):
        zk.put(f"/{number}", bytes(1_000_000))
    changes = zk.diff(then).changes
    assert [change.omitted for change in changes] == [(), (), (), (), ("after",)]
    assert changes[4].after is None
    assert changes[3].after == bytes(1_000_000)


def test_sessions_are_named_in_any_way(zk: ZkMini, client: Any) -> None:
    client.create("/worker", ephemeral=True)
    session = zk.sessions()[0]
    assert session.ephemerals == ("/worker",)
    assert session.timeout_ms == 10_000
    connection = zk.connections()[0]
    assert connection.session == session.id == hex(client.client_id[0])

    for target in ("/worker", client.client_id[0], session.id, session):
        zk.freeze(target)
        assert zk.sessions()[0].frozen
        zk.thaw(target)
        assert not zk.sessions()[0].frozen
    zk.freeze(connection)
    zk.thaw(connection)
    assert zk.put("/helper", ephemeral_owner=client.client_id[0]) == "/helper"
    assert zk.expire("/helper") == session.id
    assert not zk.exists("/worker")


def test_errors_say_what_was_wrong(zk: ZkMini) -> None:
    zk.put("/plain")
    with pytest.raises(ZkMiniError, match="/plain: the node is not ephemeral"):
        zk.expire("/plain")
    with pytest.raises(NotFoundError, match="0x99"):
        zk.expire("0x99")
    with pytest.raises(BadRequestError) as error:
        zk.fault("create", fail="NOSUCHCODE")
    assert (error.value.status, error.value.code) == (400, "bad_request")
    assert "NOSUCHCODE" in str(error.value)


def test_expire_all(zk: ZkMini, client: Any) -> None:
    session = hex(client.client_id[0])
    assert zk.expire_all() == [session]


def test_watches(zk: ZkMini, client: Any) -> None:
    client.get_children("/", watch=lambda event: None)
    (watch,) = zk.watches("/")
    assert (watch.path, watch.session) == ("/", hex(client.client_id[0]))
    assert zk.watches("/other/**") == []
    client.get_children("/zookeeper", watch=lambda event: None)
    assert [watch.path for watch in zk.watches()] == ["/", "/zookeeper"]
    assert [watch.path for watch in zk.watches(limit=1)] == ["/"]
    assert zk.watches("/**", limit=0) == []


def test_time_by_hand(zk: ZkMini, client: Any) -> None:
    client.create("/lease", ephemeral=True)
    assert zk.clock().mode == "real"
    session = client.client_id[0]
    zk.freeze(session)

    assert zk.advance(5).mode == "manual"
    assert zk.exists("/lease")
    assert zk.advance(datetime.timedelta(seconds=10)).advanced_ms == 10_000
    assert not zk.exists("/lease")
    zk.thaw(session)

    before = zk.clock()
    assert zk.advance_ticks(2).monotonic_ms == before.monotonic_ms + 2 * before.tick_ms
    assert zk.jump_wall_clock(-3600).now_ms < before.now_ms
    assert zk.advance_to_next_deadline().mode == "manual"
    assert zk.clock("real").mode == "real"


RULES: list[dict[str, Any]] = [
    {"op": "create", "path": "/a/**", "fail": "NONODE", "nth": 2},
    {"op": ["setData", "delete"], "delay": 0.5, "every": 3},
    {"op": "*", "delay_reply": datetime.timedelta(milliseconds=500), "probability": 0.1, "seed": 7},
    {"op": "create", "drop": "before_apply", "times": 1},
    {"op": "create", "drop": "after_apply", "session": "0x12"},
    {"op": "create", "silent": "before_apply", "connection": "0x3"},
    {"op": "create", "silent": "after_apply", "listener": "HOSTS"},
    {"op": "getData", "latency": 0.05, "bytes_per_second": 1000},
    {"op": "getData", "bytes_per_second": 1000},
    {"event": "NodeDeleted", "path": "/members/*", "drop_event": True},
    {"event": "*", "delay": 1},
    {"connect": True, "refuse": True},
    {"reattach": True, "refuse": True},
    {"connect": True, "delay_reply": 1},
    {"expiry": True, "hold_ephemerals": 30},
]


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_every_rule_can_be_written(zk: ZkMini, rule: dict[str, Any]) -> None:
    if "listener" in rule:
        rule = {**rule, "listener": zk.hosts}
    fault = zk.fault(**rule)
    assert [listed.text for listed in zk.faults()] == [fault.text]
    assert (fault.fired, fault.matched, fault.state, fault.hits) == (0, 0, "active", [])
    assert fault.text in repr(fault)
    fault.remove()
    fault.remove()
    assert zk.faults() == []


def test_a_fault_tells_what_it_hit(zk: ZkMini, client: Any) -> None:
    with zk.fault("create", "/a", fail="NOAUTH", times=1) as fault:
        with pytest.raises(NoAuthError):
            client.create("/a")
        assert fault.fired == 1
        assert fault.state == "used_up"
        assert fault.hits[0].path == "/a"
        zk.clear_faults()
        assert zk.faults() == []


def test_explain_reads_well(zk: ZkMini, client: Any) -> None:
    client.create("/leader", b"a", ephemeral=True)
    zk.expire("/leader")
    first, created, deleted = zk.explain("/leader").splitlines()
    assert first == "/leader does not exist"
    assert "created by request" in created
    assert "expired by the test" in deleted
    assert zk.explain("/none") == "/none does not exist\n  nothing in the history has to do with it"
    assert zk.explain("/zookeeper").startswith("/zookeeper exists\n")


def test_history(zk: ZkMini, client: Any) -> None:
    client.create("/a")
    zk.put("/b")
    session = client.client_id[0]
    assert [entry.what for entry in zk.history(path="/a", kind="transaction")] == ["created"]
    assert {entry.session for entry in zk.history(session=session)} == {hex(session)}
    latest = zk.history(limit=1)[0]
    assert zk.history(since_seq=latest.seq) == []
    assert zk.history(kind=["transaction", "connect"], before_seq=latest.seq)
    text = zk.history_text()
    assert f"session {hex(session)}: opened" in text
    assert "/b created over HTTP" in text.splitlines()[-1]
    assert zk.history_text(limit=1).startswith("… ")
    zk.begin_story()
    assert zk.history_text() == ""
    for number in range(30):
        zk.put(f"/many/{number}")
    assert "/many/29 created" in zk.history_text(limit=1)


def test_children_are_listed_however_much_data_they_have(zk: ZkMini) -> None:
    names = [f"part-{number}" for number in range(34)]
    for name in names:
        zk.put(f"/large/{name}", bytes(1_000_000))
    assert zk.children("/large") == sorted(names)
    with pytest.raises(BadRequestError):
        zk.tree("/large")


def test_what_has_changed_is_told_after_many_reads(zk: ZkMini, client: Any) -> None:
    client.create("/a")
    for read in [client.get_async("/a") for _ in range(2000)]:
        read.get()
    assert "/a created" in zk.history_text()
    assert "/a created" in zk.history_text(limit=10_000)
    assert {entry.kind for entry in zk.history(story=True)} == {"connect", "transaction"}


def test_events_as_they_happen(zk: ZkMini) -> None:
    zk.put("/a")
    before = zk.history(limit=1)[0].seq
    zk.put("/b")
    events = zk.events(path="/*", kind=["transaction"], since_seq=before, timeout=60)
    assert next(events).path == "/b"
    zk.delete("/a")
    entry = next(events)
    assert (entry.path, entry.what) == ("/a", "deleted")
    with pytest.raises(TimeoutError, match=r"nothing happened within 0\.5 s"):
        next(zk.events(path="/*", kind=["transaction"], since_seq=entry.seq, timeout=0.5))
    with pytest.raises(BadRequestError):
        zk.events(kind="nonsense")
    events = zk.events(kind="transaction")
    zk.put("/after")
    assert next(events).path == "/after"


def test_events_that_were_lost_are_an_error() -> None:
    with ZkMini.start(args=["--history", "5"]) as zk:
        for number in range(20):
            zk.put(f"/{number}")
        oldest = zk.history()[0].seq
        with pytest.raises(MissedError, match=f"^{oldest - 1} entries of the history") as error:
            next(zk.events(since_seq=0))
        assert error.value.missed == oldest - 1


def test_events_end_with_the_server() -> None:
    with ZkMini.start() as zk:
        events = zk.events(timeout=60)
        assert zk.pid is not None
        os.kill(zk.pid, signal.SIGKILL)
        with pytest.raises(ServerGoneError, match="does not answer GET /v1/events"):
            for _ in events:
                pass
        with pytest.raises(ServerGoneError, match="does not answer GET /v1/events"):
            zk.events()


def test_comments_that_keep_a_stream_alive_are_no_events() -> None:
    class Quiet(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            if self.path == "/v1/status":
                self.wfile.write(b'{"api": 1}')
                return
            # With an end, so that a stream whose timeout does not come ends with an error of another kind.
            with contextlib.suppress(ConnectionError):
                for _ in range(500):
                    self.wfile.write(b":\n\n")
                    if closed.wait(0.01):
                        break

        def log_message(self, format: str, *args: Any) -> None:
            pass

    closed = threading.Event()
    with ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            events = ZkMini.attach(f"http://127.0.0.1:{server.server_port}", hosts="nobody:1").events(timeout=0.2)
            with pytest.raises(TimeoutError, match=r"nothing happened within 0\.2 s"):
                next(events)
        finally:
            closed.set()
            server.shutdown()


def test_snapshots(zk: ZkMini) -> None:
    zk.put("/a", "1")
    binary, text = zk.snapshot(), zk.snapshot_text()
    for snapshot in (binary, text, '{"/a": {"data": "1"}}'):
        zk.delete("/a")
        zk.restore(snapshot)
        assert zk.get("/a") == b"1"


def test_any_call(zk: ZkMini) -> None:
    zk.put("/a b", "1")
    assert zk.call("GET", "/v1/tree", {"path": "/a b"})["data"] == "1"
    assert zk.call("POST", "/v1/clock", body={"mode": "manual"})["mode"] == "manual"
    with pytest.raises(NotFoundError, match="there is no call"):
        zk.call("GET", "/v1/nothing")


def test_restart_and_reset(zk: ZkMini, client: Any, wait_for: Callable[[Callable[[], object]], None]) -> None:
    client.create("/a", b"1")
    zk.restart()
    assert zk.get("/a") == b"1"
    zk.restart(lose_unsynced=True)
    assert not zk.exists("/a")

    zk.put("/b")
    zk.fault("*", fail="NONODE")
    wait_for(zk.sessions)
    before = {session.id for session in zk.sessions()}
    zk.advance(1)
    zk.freeze()
    assert zk.status().frozen
    zk.reset(all=True)
    assert not zk.exists("/b")
    assert zk.faults() == []
    status = zk.status()
    assert (status.frozen, status.clock) == (False, "real")
    # The client may have another one already.
    assert not before & {session.id for session in zk.sessions()}


def test_the_nodes_to_begin_with(tmp_path: Path) -> None:
    file = tmp_path / "tree.yaml"
    file.write_text("/config/limit: {data: '10'}\n")
    for load in (file, str(file), {"/config/limit": {"data": "10"}}):
        with ZkMini.start(load=load) as zk:
            assert zk.get("/config/limit") == b"10"


def test_attach(zk: ZkMini, monkeypatch: pytest.MonkeyPatch) -> None:
    with ZkMini.attach(zk.http) as other:
        assert (other.hosts, other.pid, other.log) == (zk.hosts, None, "")
    assert zk.status().servers == 1
    monkeypatch.setenv("ZK_MINI_HTTP", zk.http)
    monkeypatch.setenv("ZK_HOSTS", "127.0.0.1:1,127.0.0.1:2")
    with ZkMini.attach() as other:
        assert (other.hosts, other.host, other.port) == ("127.0.0.1:1,127.0.0.1:2", "127.0.0.1", 1)
    monkeypatch.delenv("ZK_MINI_HTTP")
    with pytest.raises(ZkMiniError, match="attach to which server"):
        ZkMini.attach()
    with pytest.raises(ValueError, match="expected is http://HOST:PORT"):
        ZkMini.attach("127.0.0.1:2181")


def test_a_server_that_is_gone() -> None:
    zk = ZkMini.start()
    zk.stop()
    zk.stop()
    with pytest.raises(ServerGoneError, match="it ended with status 0"):
        zk.status()
