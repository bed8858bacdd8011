"""Answers of the server. Fields that this version does not know are left out."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Optional, TypeVar

Json = Mapping[str, Any]
_Answer = TypeVar("_Answer")


def _from_json(kind: type[_Answer], answer: Json, **others: Any) -> _Answer:
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in answer.items() if name in names and name not in others}, **others)


class _Plain:
    """Answer whose fields are those of the server."""

    @classmethod
    def from_json(cls: type[_Answer], answer: Json) -> _Answer:
        """Reads an answer."""
        return _from_json(cls, answer)


@dataclass(frozen=True)
class ServerInfo:
    """Server of an ensemble, as it was when it was asked for."""

    # From 1.
    number: int
    address: str
    # leader, follower, observer, or looking if it knows no leader.
    role: str
    # running, read-only (there is no quorum), frozen, partitioned or stopped.
    state: str
    last_zxid: str
    # Number of transactions that it has not applied yet.
    behind: int
    # The lag that was set, in one of two units; none of both without one.
    lag_transactions: Optional[int] = None
    lag_ms: Optional[int] = None

    @classmethod
    def from_json(cls, answer: Json) -> ServerInfo:
        """Reads an answer."""
        lag = answer["lag"]
        return _from_json(cls, answer, number=answer["server"], lag_transactions=lag.get("transactions"), lag_ms=lag.get("ms"))


@dataclass(frozen=True)
class Stat:
    """Stat of a node, as ZooKeeper has it. Zxids and ids are written ``0x…``."""

    czxid: str
    mzxid: str
    pzxid: str
    ctime: int
    mtime: int
    version: int
    cversion: int
    aversion: int
    ephemeral_owner: str
    data_length: int
    num_children: int

    @classmethod
    def from_json(cls, answer: Json) -> Stat:
        """Reads an answer."""
        return _from_json(
            cls,
            answer,
            ephemeral_owner=answer["ephemeralOwner"],
            data_length=answer["dataLength"],
            num_children=answer["numChildren"],
        )


def data_from_json(answer: Json) -> Optional[bytes]:
    """Returns the data of a node; none is not the same as empty."""
    data = answer.get("data")
    if data is None:
        return None
    return base64.b64decode(data) if answer["encoding"] == "base64" else bytes(data, "utf-8")


@dataclass(frozen=True)
class Node:
    """A node, and those below it as deep as was asked for. Printed, it is a tree."""

    path: str
    name: str
    data: Optional[bytes]
    kind: str
    watches: int
    stat: Stat
    children: tuple[Node, ...]
    ttl_ms: Optional[int] = None

    @classmethod
    def from_json(cls, answer: Json) -> Node:
        """Reads an answer."""
        return _from_json(
            cls,
            answer,
            data=data_from_json(answer),
            stat=Stat.from_json(answer["stat"]),
            children=tuple(cls.from_json(child) for child in answer["children"]),
        )

    @property
    def is_ephemeral(self) -> bool:
        """True if the node goes with a session."""
        return self.kind == "ephemeral"

    def __str__(self) -> str:
        return "\n".join(self._lines(self.path, ""))

    def _lines(self, name: str, indent: str) -> list[str]:
        data = "" if not self.data else f"  {self.data!r}"
        owner = f"  of session {self.stat.ephemeral_owner}" if self.is_ephemeral else ""
        kind = "" if self.kind == "persistent" else f"  ({self.kind}{owner})"
        lines = [f"{indent}{name}{data}{kind}"]
        for child in self.children:
            lines += child._lines(child.name, indent + "  ")
        return lines


@dataclass(frozen=True)
class Change:
    """Difference of a node between two times."""

    path: str
    what: str
    before: Optional[bytes]
    after: Optional[bytes]
    # Those of `before` and `after` whose data the server left out, since the answer would be too large: they are ``None``.
    omitted: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, answer: Json) -> Change:
        """Reads an answer."""
        sides = {name: answer.get(name) or {} for name in ("before", "after")}
        omitted = tuple(name for name, side in sides.items() if side.get("encoding") == "omitted")
        return _from_json(cls, answer, omitted=omitted, **{name: data_from_json(side) for name, side in sides.items()})


@dataclass(frozen=True)
class Diff:
    """Changes of the tree between two times. ``more`` counts those that were left out."""

    changes: tuple[Change, ...]
    more: int

    @classmethod
    def from_json(cls, answer: Json) -> Diff:
        """Reads an answer."""
        return cls(tuple(Change.from_json(change) for change in answer["changes"]), answer["more"])


@dataclass(frozen=True)
class Session:
    """Session of a client. Times are in milliseconds."""

    id: str
    timeout_ms: int
    connected: bool
    client: Optional[str]
    last_heard_ms: int
    expires_in_ms: int
    ephemerals: tuple[str, ...]
    watches: int
    connection: Optional[str]
    frozen: bool

    @classmethod
    def from_json(cls, answer: Json) -> Session:
        """Reads an answer."""
        return _from_json(cls, answer, ephemerals=tuple(answer["ephemerals"]))


@dataclass(frozen=True)
class Connection(_Plain):
    """Connection of a client, with or without a session. ``since_ms`` is the time at which it was accepted."""

    id: str
    client: Optional[str]
    session: Optional[str]
    since_ms: int
    frozen: bool
    received: int
    sent: int


@dataclass(frozen=True)
class Watch(_Plain):
    """Watch of a client."""

    path: str
    kind: str
    connection: str
    session: Optional[str]


@dataclass(frozen=True)
class Status(_Plain):
    """Figures of the server."""

    api: int
    version: str
    compat: str
    last_zxid: str
    nodes: int
    sessions: int
    connections: int
    watches: int
    clock: str
    servers: int
    frozen: bool
    down: bool
    read_only: bool


@dataclass(frozen=True)
class Clock(_Plain):
    """Clock of the server. ``mode`` is ``real`` or ``manual``."""

    mode: str
    now: str
    now_ms: int
    monotonic_ms: int
    tick_ms: int
    next_deadline_ms: Optional[int]
    advanced_ms: Optional[int] = None


@dataclass(frozen=True)
class Hit(_Plain):
    """Case in which a rule of faults has fired."""

    number: int
    time: str
    kind: str
    op: Optional[str]
    event: Optional[str]
    path: Optional[str]
    session: Optional[str]
    connection: Optional[str]
    xid: Optional[int]


@dataclass(frozen=True)
class Entry(_Plain):
    """Entry of the history. Printed, it is a line."""

    seq: int
    zxid: str
    time: str
    kind: str
    what: str
    session: Optional[str]
    path: Optional[str]
    because: Optional[str]
    client: Optional[str]
    connection: Optional[str]
    xid: Optional[int]
    error: Optional[str]

    def __str__(self) -> str:
        start = f"{readable(self.time)}  {self.kind:11}  "
        # The reason of a change is a sentence whose subject is the node.
        if self.kind == "transaction" and self.path:
            return f"{start}{self.path} {self.because or self.what}"
        who = f"session {self.session}: " if self.session else f"client {self.client}: " if self.client else ""
        if self.because and self.kind in ("connect", "disconnect", "close", "expiry"):
            return start + who + self.because
        rest = [f" {self.path}" if self.path else "", f", {self.error}" if self.error else "", f": {self.because}" if self.because else ""]
        return start + who + self.what + "".join(rest)


def explanation(answer: Json) -> str:
    """Returns who changed a node, and why: a line for each change, the oldest first."""
    path, exists = answer["path"], answer["exists"]
    lines = [f"  {readable(change['time'])}  {change['zxid']}  {change['because']}" for change in answer["history"]]
    if answer["is_cut"]:
        lines.insert(0, "  … earlier changes are no longer in the history")
    elif not lines:
        reason = "it was there when the history began, and has not changed since" if exists else "nothing in the history has to do with it"
        lines = [f"  {reason}"]
    return "\n".join([f"{path} {'exists' if exists else 'does not exist'}", *lines])


def readable(time: str) -> str:
    """Returns a time of ISO 8601 in the form of a log."""
    return time.replace("T", " ").replace("Z", "")
