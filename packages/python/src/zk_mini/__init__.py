"""A ZooKeeper server for tests, and the control of it.

With pytest, take the fixture ``zk``. Elsewhere::

    from zk_mini import ZkMini

    with ZkMini.start() as zk:
        client = KazooClient(zk.hosts)
        ...
        zk.expire("/election/leader")
"""

from ._answers import Change, Clock, Connection, Diff, Entry, Hit, Node, ServerInfo, Session, Stat, Status, Watch
from ._control import Target
from ._ensemble import Server
from ._errors import (
    ApiError,
    BadRequestError,
    ConflictError,
    MissedError,
    NotFoundError,
    ProgramNotFoundError,
    ServerGoneError,
    StartError,
    TooOldError,
    ZkMiniError,
)
from ._faults import Fault, Time
from ._program import find_program
from ._server import ZkMini
from ._testcase import ZkMiniTestCase

__all__ = [
    "ApiError",
    "BadRequestError",
    "Change",
    "Clock",
    "ConflictError",
    "Connection",
    "Diff",
    "Entry",
    "Fault",
    "Hit",
    "MissedError",
    "Node",
    "NotFoundError",
    "ProgramNotFoundError",
    "Server",
    "ServerGoneError",
    "ServerInfo",
    "Session",
    "StartError",
    "Stat",
    "Status",
    "Target",
    "Time",
    "TooOldError",
    "Watch",
    "ZkMini",
    "ZkMiniError",
    "ZkMiniTestCase",
    "find_program",
]
