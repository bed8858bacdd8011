"""Servers of an ensemble: what is done to each."""

from __future__ import annotations

from typing import Any, Optional

from ._answers import ServerInfo
from ._errors import NotFoundError, ZkMiniError
from ._faults import Time, milliseconds
from ._http import Http


class Server:
    """One server of an ensemble, to be broken and mended. What is done to it stays until it is undone."""

    def __init__(self, http: Http, number: int) -> None:
        self._http = http
        # From 1.
        self.number = number

    def info(self) -> ServerInfo:
        """Returns what it is now: its address, role, state, last zxid and lag."""
        for answer in self._http.json("GET", "/v1/servers"):
            if answer["server"] == self.number:
                return ServerInfo.from_json(answer)
        raise NotFoundError("GET /v1/servers", 404, "not_found", f"the ensemble has no server {self.number}")

    @property
    def hosts(self) -> str:
        """Its address for ZooKeeper clients, HOST:PORT."""
        return self.info().address

    def stop(self) -> ServerInfo:
        """Stops it: its port refuses, and its connections are closed. If it leads, another server does."""
        return self._do("stop")

    def start(self) -> ServerInfo:
        """Starts it on the same port, with everything that has happened meanwhile."""
        return self._do("start")

    def restart(self) -> ServerInfo:
        """Stops it, and starts it."""
        return self._do("restart")

    def partition(self) -> ServerInfo:
        """Cuts it off from the others: its connections are closed, and new ones get no answer."""
        return self._do("partition")

    def heal(self) -> ServerInfo:
        """Lets it reach the others again."""
        return self._do("heal")

    def freeze(self) -> ServerInfo:
        """Lets its clients hear nothing of it; it stays a part of the ensemble."""
        return self._do("freeze")

    def thaw(self) -> ServerInfo:
        """Lets it go on."""
        return self._do("thaw")

    def lead(self) -> ServerInfo:
        """Lets it lead, in a new epoch: all connections of all servers are closed."""
        return self._do("lead")

    def lag(self, transactions: Optional[int] = None, *, time: Optional[Time] = None) -> ServerInfo:
        """Lets it be behind the leader, so that its clients read the past: by a number of transactions, or by a time."""
        if (transactions is None) == (time is None):
            raise ZkMiniError("lag by transactions or by a time: lag(5), lag(time=0.5); no_lag() ends it")
        return self._do("lag", {"transactions": transactions} if time is None else {"ms": milliseconds(time)})

    def no_lag(self) -> ServerInfo:
        """Lets it not be behind any more."""
        return self._do("lag", {"none": True})

    def _do(self, action: str, body: Optional[dict[str, Any]] = None) -> ServerInfo:
        return ServerInfo.from_json(self._http.json("POST", f"/v1/servers/{self.number}/{action}", body=body))

    def __repr__(self) -> str:
        return f"<Server {self.number}>"
