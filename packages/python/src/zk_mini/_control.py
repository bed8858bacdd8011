"""Control of a running server."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Optional, Union

from ._answers import Clock, Connection, Diff, Entry, Json, Node, ServerInfo, Session, Stat, Status, Watch, explanation
from ._ensemble import Server
from ._errors import MissedError, ZkMiniError
from ._faults import Fault, Time, milliseconds, rule
from ._http import Http

# A session: the path of an ephemeral node of it, its id as text or as number, or one of `sessions()`; or one of `connections()`.
Target = Union[str, int, Session, Connection]

Moment = Literal["before_apply", "after_apply"]
Event = Literal["NodeCreated", "NodeDeleted", "NodeDataChanged", "NodeChildrenChanged", "*"]
Mode = Literal["real", "manual"]

_NO_SESSION = "0x0"
# Deeper than the tree of any test.
_WHOLE_TREE = 1000


class Control:
    """Calls to a server. Each returns when it has happened: nodes are gone, events are sent. A test need not wait."""

    def __init__(self, http: Http, hosts: str) -> None:
        self._http = http
        self._hosts = hosts

    @property
    def hosts(self) -> str:
        """Address for ZooKeeper clients, HOST:PORT."""
        return self._hosts

    @property
    def host(self) -> str:
        """Host of the first address."""
        return self._hosts.split(",")[0].rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """Port of the first address."""
        return int(self._hosts.split(",")[0].rpartition(":")[2])

    @property
    def http(self) -> str:
        """URL of the server's HTTP, and of its page for a browser."""
        return self._http.url

    # The server.

    def status(self) -> Status:
        """Returns figures of the server."""
        return Status.from_json(self._http.json("GET", "/v1/status"))

    def reset(self, all: bool = False) -> None:
        """Removes all nodes and sessions; with ``all`` also all faults and freezes, and the clock is real again."""
        self._http.json("POST", "/v1/reset", {"all": True} if all else {})

    def restart(self, lose_unsynced: bool = False) -> None:
        """Restarts the server: connections break, nodes and sessions stay. ``lose_unsynced``: as after a loss of power."""
        self._http.json("POST", "/v1/restart", {"lose_unsynced": True} if lose_unsynced else {})

    # Servers of an ensemble.

    def servers(self) -> list[ServerInfo]:
        """Returns the servers of an ensemble, in order; none of a single server."""
        return [ServerInfo.from_json(server) for server in self._http.json("GET", "/v1/servers")]

    def server(self, number: int) -> Server:
        """Returns one server of an ensemble, counted from 1: to be stopped, cut off, frozen, and more."""
        return Server(self._http, number)

    def lose_quorum(self) -> None:
        """Loses the quorum of an ensemble: all connections are closed, and only clients that ask for read-only service are served.

        A single server has none to lose: an error.
        """
        self._http.json("POST", "/v1/quorum", body={"lost": True})

    def regain_quorum(self) -> None:
        """Gets the quorum back, if more than half of the servers take part."""
        self._http.json("POST", "/v1/quorum", body={"lost": False})

    # Sessions.

    def sessions(self) -> list[Session]:
        """Returns all sessions."""
        return [Session.from_json(session) for session in self._http.json("GET", "/v1/sessions")]

    def connections(self) -> list[Connection]:
        """Returns all connections of ZooKeeper clients."""
        return [Connection.from_json(connection) for connection in self._http.json("GET", "/v1/connections")]

    def watches(self, path: Optional[str] = None, limit: Optional[int] = None) -> list[Watch]:
        """Returns the watches of all clients, or those on paths that fit, such as ``/members/*``, sorted by path.

        ``limit`` keeps the first so many; without it more than 10,000 are an error.
        """
        return [Watch.from_json(watch) for watch in self._http.json("GET", "/v1/watches", {"path": path, "limit": limit})]

    def expire(self, session: Target) -> str:
        """Ends a session as if it had been silent for its timeout. Returns its id."""
        if isinstance(session, str) and session.startswith("/"):
            # In one call: nobody else can make the node again in between.
            return str(self._http.json("POST", "/v1/sessions/expire", body={"owner_of": session})["sessions"][0])
        return self._of_session(session, "expire")

    def expire_all(self) -> list[str]:
        """Ends all sessions. Returns their ids."""
        return list(self._http.json("POST", "/v1/sessions/expire", body={"all": True})["sessions"])

    def disconnect(self, target: Target) -> str:
        """Closes the connection of a session, which lives on, or any connection. Returns its id."""
        return self._of_any(target, "disconnect")

    def freeze(self, target: Optional[Target] = None) -> None:
        """Stalls the whole server; or stops hearing one session or connection, which can expire meanwhile."""
        if target is None:
            self._http.json("POST", "/v1/freeze")
        else:
            self._of_any(target, "freeze")

    def thaw(self, target: Optional[Target] = None) -> None:
        """Lets the server go on, or a session or connection."""
        if target is None:
            self._http.json("POST", "/v1/thaw")
        else:
            self._of_any(target, "thaw")

    def _of_any(self, target: Target, what: str) -> str:
        if isinstance(target, Connection):
            self._http.json("POST", f"/v1/connections/{target.id}/{what}")
            return target.id
        return self._of_session(target, what)

    def _of_session(self, target: Target, what: str) -> str:
        session = self._session_id(target)
        self._http.json("POST", f"/v1/sessions/{session}/{what}")
        return session

    def _session_id(self, target: Target) -> str:
        if isinstance(target, Session):
            return target.id
        if isinstance(target, Connection):
            if target.session is None:
                raise ZkMiniError(f"connection {target.id} has no session")
            return target.session
        if isinstance(target, int):
            # Clients have it as a signed number.
            return hex(target & 0xFFFF_FFFF_FFFF_FFFF)
        if not target.startswith("/"):
            return target
        owner = self.stat(target).ephemeral_owner
        if owner == _NO_SESSION:
            raise ZkMiniError(f"{target} is not ephemeral: it belongs to no session")
        return owner

    # Faults.

    def fault(
        self,
        op: Optional[Union[str, Sequence[str]]] = None,
        path: Optional[str] = None,
        *,
        event: Optional[Event] = None,
        connect: bool = False,
        reattach: bool = False,
        expiry: bool = False,
        session: Optional[Target] = None,
        connection: Optional[Union[str, Connection]] = None,
        listener: Optional[str] = None,
        nth: Optional[int] = None,
        every: Optional[int] = None,
        times: Optional[int] = None,
        probability: Optional[float] = None,
        seed: Optional[int] = None,
        fail: Optional[str] = None,
        delay: Optional[Time] = None,
        delay_reply: Optional[Time] = None,
        drop: Optional[Moment] = None,
        silent: Optional[Moment] = None,
        latency: Optional[Time] = None,
        bytes_per_second: Optional[int] = None,
        drop_event: bool = False,
        refuse: bool = False,
        hold_ephemerals: Optional[Time] = None,
    ) -> Fault:
        """Adds a rule, which holds until it is removed: what fits, and what goes wrong then.

        What fits is one of ``op`` (``"create"``, ``["setData", "delete"]``, ``"*"``), ``event``, ``connect``, ``reattach`` and
        ``expiry``, narrowed by ``path`` (``"/services/**"``), ``session``, ``connection``, ``listener``, ``nth``, ``every``,
        ``times``, ``probability`` with ``seed``.

        What goes wrong is one of ``fail`` (``"NONODE"``), ``delay``, ``delay_reply``, ``drop``, ``silent``, ``latency`` and/or
        ``bytes_per_second``, ``drop_event``, ``refuse``, ``hold_ephemerals``. Times are seconds, or ``timedelta``.
        """
        when = {
            "path": path,
            "event": event,
            "connect": connect,
            "reattach": reattach,
            "expiry": expiry,
            "session": None if session is None else self._session_id(session),
            "connection": connection.id if isinstance(connection, Connection) else connection,
            "listener": listener,
            "nth": nth,
            "every": every,
            "times": times,
            "probability": probability,
            "seed": seed,
        }
        effect = {
            "fail": fail,
            "delay_ms": _milliseconds(delay),
            "delay_reply_ms": _milliseconds(delay_reply),
            "drop": drop,
            "silent": silent,
            "drop_event": drop_event,
            "refuse": refuse,
            "hold_ephemerals_ms": _milliseconds(hold_ephemerals),
        }
        slow = {"latency_ms": _milliseconds(latency), "bytes_per_second": bytes_per_second}
        return Fault(self._http, self._http.json("POST", "/v1/faults", body=rule(op, when, effect, slow)))

    def faults(self) -> list[Fault]:
        """Returns all rules."""
        return [Fault(self._http, fault) for fault in self._http.json("GET", "/v1/faults")]

    def clear_faults(self) -> None:
        """Removes all rules."""
        self._http.json("DELETE", "/v1/faults")

    # The clock.

    def clock(self, mode: Optional[Mode] = None) -> Clock:
        """Returns the clock, after setting its mode if one is given: ``"manual"`` stops it, ``"real"`` lets it run."""
        if mode is None:
            return Clock.from_json(self._http.json("GET", "/v1/clock"))
        return Clock.from_json(self._http.json("POST", "/v1/clock", body={"mode": mode}))

    def advance(self, time: Time) -> Clock:
        """Moves the clock, and does all that is due on the way. A real clock becomes manual, and stays so."""
        return self._advance({"advance_ms": milliseconds(time)})

    def advance_ticks(self, ticks: int) -> Clock:
        """The same, by a number of ticks of the server."""
        return self._advance({"advance_ticks": ticks})

    def advance_to_next_deadline(self) -> Clock:
        """The same, to the time at which the next thing happens by itself, such as an expiry."""
        return self._advance({"to_next_deadline": True})

    def jump_wall_clock(self, time: Time) -> Clock:
        """Moves the time of day alone, back if negative, as an administrator or NTP does. Sessions do not notice."""
        return Clock.from_json(self._http.json("POST", "/v1/clock", body={"jump_wall_ms": milliseconds(time)}))

    def _advance(self, change: dict[str, Union[int, bool]]) -> Clock:
        if self.clock().mode == "real":
            self.clock("manual")
        return Clock.from_json(self._http.json("POST", "/v1/clock", body=change))

    # Nodes.

    def tree(self, path: str = "/", depth: Optional[int] = None, zxid: Optional[str] = None) -> Node:
        """Returns a node, and all below it or as deep as ``depth``. With ``zxid``: as it was after that transaction."""
        depth = _WHOLE_TREE if depth is None else depth
        return Node.from_json(self._http.json("GET", "/v1/tree", {"path": _absolute(path), "depth": depth, "zxid": zxid}))

    def get(self, path: str) -> Optional[bytes]:
        """Returns the data of a node; ``None`` if it was made without."""
        return self.tree(path, depth=0).data

    def stat(self, path: str) -> Stat:
        """Returns the stat of a node."""
        return self.tree(path, depth=0).stat

    def children(self, path: str) -> list[str]:
        """Returns the names of the children of a node, in order."""
        node = self._http.json("GET", "/v1/tree", {"path": _absolute(path), "depth": 1, "data": False})
        return [str(child["name"]) for child in node["children"]]

    def exists(self, path: str) -> bool:
        """True if the node is there."""
        options = {"path": _absolute(path), "depth": 0, "data": False, "optional": True}
        return self._http.json("GET", "/v1/tree", options) is not None

    def put(self, path: str, data: Union[str, bytes] = b"", *, sequential: bool = False, ephemeral_owner: Optional[Target] = None) -> str:
        """Sets the data of a node; makes the node, and its parents, if need be. Returns its path."""
        options = {
            "sequential": True if sequential else None,
            "ephemeral_owner": None if ephemeral_owner is None else self._session_id(ephemeral_owner),
        }
        body = data.encode() if isinstance(data, str) else data
        return str(json.loads(self._http.call("PUT", "/v1/nodes" + _absolute(path), options, body))["path"])

    def delete(self, path: str, recursive: bool = False) -> int:
        """Deletes a node; with ``recursive`` all below it, too. Returns how many were deleted."""
        return int(self._http.json("DELETE", "/v1/nodes" + _absolute(path), {"recursive": True if recursive else None})["deleted"])

    # What has happened.

    def explain(self, path: str) -> str:
        """Says who created, changed and deleted a node, and why: text to print, or for the message of an assertion."""
        return explanation(self._http.json("GET", "/v1/explain", {"path": _absolute(path)}))

    def history(
        self,
        *,
        path: Optional[str] = None,
        session: Optional[Target] = None,
        kind: Optional[Union[str, Iterable[str]]] = None,
        since: Optional[str] = None,
        since_seq: Optional[int] = None,
        before_seq: Optional[int] = None,
        limit: Optional[int] = None,
        story: bool = False,
    ) -> list[Entry]:
        """Returns what has happened, the oldest first; ``limit`` keeps the latest, with ``since_seq`` the first of them.

        ``story`` leaves out requests that went well: what they have changed has entries of its own.
        """
        options = {
            "path": path,
            "session": None if session is None else self._session_id(session),
            "kind": _names(kind),
            "since": since,
            "since_seq": since_seq,
            "before_seq": before_seq,
            "limit": limit,
            "story": True if story else None,
        }
        return [Entry.from_json(entry) for entry in self._http.json("GET", "/v1/history", options)]

    def events(
        self,
        *,
        path: Optional[str] = None,
        session: Optional[Target] = None,
        kind: Optional[Union[str, Iterable[str]]] = None,
        since_seq: Optional[int] = None,
        timeout: float = 10,
    ) -> Iterator[Entry]:
        """Yields entries of the history as they happen, from this call on; first those after ``since_seq``.

        `TimeoutError`: none came for so long. `MissedError`: some were lost. `ServerGoneError`: none will come.
        """
        options = {
            "path": path,
            "session": None if session is None else self._session_id(session),
            "kind": _names(kind),
            "since_seq": since_seq,
        }
        return (_entry(data) for data in self._http.events(options, timeout) if "seq" in data or "missed" in data)

    def diff(self, since: str, to: Optional[str] = None) -> Diff:
        """Returns what changed in the tree between two zxids; without ``to`` until now."""
        return Diff.from_json(self._http.json("GET", "/v1/diff", {"from": since, "to": to}))

    # Snapshots.

    def snapshot(self) -> bytes:
        """Returns the whole tree, in the format of Apache ZooKeeper."""
        return self._http.call("GET", "/v1/snapshot", accept="application/octet-stream")

    def snapshot_text(self) -> str:
        """Returns the whole tree as YAML, to read and to edit."""
        return self._http.call("GET", "/v1/snapshot", accept="application/yaml").decode()

    def restore(self, snapshot: Union[bytes, str]) -> None:
        """Replaces the whole tree: by bytes of `snapshot`, or by text, YAML or JSON."""
        if isinstance(snapshot, str):
            self._http.call("POST", "/v1/restore", body=snapshot.encode(), content_type="application/yaml")
        else:
            self._http.call("POST", "/v1/restore", body=snapshot)

    # Everything else.

    def call(self, method: str, path: str, query: Optional[Mapping[str, Any]] = None, body: Optional[Mapping[str, Any]] = None) -> Any:
        """Makes a call of the HTTP API that answers with JSON: for what has no method here."""
        return self._http.json(method, path, query, body)


def _absolute(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError(f"{path!r} is no path of a node: it begins with a slash, as /config/colour does")
    return path


def _entry(data: Json) -> Entry:
    if "missed" in data:
        raise MissedError(data["missed"])
    return Entry.from_json(data)


def _names(kind: Optional[Union[str, Iterable[str]]]) -> Optional[str]:
    return kind if kind is None or isinstance(kind, str) else ",".join(kind)


def _milliseconds(time: Optional[Time]) -> Optional[int]:
    return None if time is None else milliseconds(time)
