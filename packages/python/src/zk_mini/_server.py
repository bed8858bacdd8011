"""A server for tests: started here, or one that runs already."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Callable, Literal, Optional, Union

from ._answers import ServerInfo
from ._control import Control
from ._errors import ZkMiniError
from ._http import Http
from ._process import Process
from ._program import find_program

_START_SECONDS = 20.0
# Characters of the log of a server that has ended.
_LOG_END = 4000
# Version of the HTTP API that this package knows.
_API = 1
# Entries of the history in one answer, at most.
_MOST_ENTRIES = 10_000


class ZkMini(Control):
    """A running server. Also a context manager, which stops it at the end."""

    def __init__(self, http: Http, hosts: str, process: Optional[Process]) -> None:
        super().__init__(http, hosts)
        self._process = process
        # Entries of the history up to this one are of somebody else.
        self._story_begins = 0
        running.append(self)

    @classmethod
    def start(
        cls,
        *,
        load: Optional[Union[str, os.PathLike[str], Mapping[str, Any]]] = None,
        fast: Optional[bool] = None,
        tick_ms: Optional[int] = None,
        min_session_timeout_ms: Optional[int] = None,
        max_session_timeout_ms: Optional[int] = None,
        data_dir: Optional[Union[str, os.PathLike[str]]] = None,
        compat: Optional[Literal["3.8", "3.9"]] = None,
        servers: int = 1,
        args: Sequence[str] = (),
        program: Optional[Union[str, os.PathLike[str]]] = None,
        start_timeout: float = _START_SECONDS,
    ) -> ZkMini:
        """Starts a server on a free port of 127.0.0.1. It ends with `stop`, and with this process, however that ends.

        ``load`` are the nodes to begin with: a file, YAML or JSON, or the same as a dictionary. ``fast`` allows sessions as short
        as 100 ms. ``servers`` above 1 is an ensemble, simulated in one process, to be broken by `server`; its control has a port of
        its own, which answers when all servers are stopped. ``args`` are further options of ``zk-mini serve``; of these the last of
        the same name counts, and an argument of this method before them.
        """
        options = {
            "--load": None if isinstance(load, Mapping) else load,
            "--tick-ms": tick_ms,
            "--min-session-timeout-ms": min_session_timeout_ms,
            "--max-session-timeout-ms": max_session_timeout_ms,
            "--data-dir": data_dir,
            "--compat": compat,
        }
        # The control of an ensemble has a port of its own, unless `args` name one.
        arguments = ["--http", "127.0.0.1:0"] if servers > 1 else []
        # Not `--fast=false` behind them, which would still contradict a tick.
        arguments += [arg for arg in args if fast is None or arg.partition("=")[0] != "--fast"]
        if fast:
            arguments.append("--fast")
        for name, value in options.items():
            if value is not None:
                arguments += [name, os.fspath(value) if isinstance(value, os.PathLike) else str(value)]
        if servers > 1:
            arguments += ["--servers", str(servers)]
        process = Process(find_program(program), arguments, start_timeout)
        url = f"http://{process.ready['http_on'][0]}" if servers > 1 else process.ready["http"]
        try:
            control = Http(url, ending=process.ending)
            _refuse_other_api(control)
            hosts = _addresses(control) if servers > 1 else ",".join(process.ready["listen"])
            if isinstance(load, Mapping):
                Control(control, hosts).restore(json.dumps(load))
        except BaseException:
            process.stop()
            raise
        return cls(control, hosts, process)

    @classmethod
    def attach(cls, http: Optional[str] = None, *, hosts: Optional[str] = None, token: Optional[str] = None) -> ZkMini:
        """Returns a server that runs already: at a URL, or that of ``zk-mini exec``. `stop` leaves it alone.

        ``hosts`` are its addresses for clients. Without them they are those of all servers of an ensemble, and for a single server
        that of its HTTP, which may have a port of its own. ``token`` is that of its ``--http-token-file``.
        """
        url = http or os.environ.get("ZK_MINI_HTTP")
        if not url:
            raise ZkMiniError("attach to which server? Give its URL, such as http://127.0.0.1:2181, or run under `zk-mini exec`")
        control = Http(url, token)
        _refuse_other_api(control)
        if not hosts and not http:
            hosts = os.environ.get("ZK_HOSTS")
        return cls(control, hosts or _addresses(control) or control.address, None)

    @property
    def pid(self) -> Optional[int]:
        """Process id of a server that was started here."""
        return self._process.pid if self._process else None

    @property
    def log(self) -> str:
        """Log of a server that was started here."""
        return self._process.log() if self._process else ""

    def stop(self) -> None:
        """Stops a server that was started here; leaves another one alone."""
        if self not in running:
            return
        try:
            for observer in observers:
                observer(self)
        finally:
            running.remove(self)
            if self._process:
                self._process.stop()

    def history_text(self, limit: int = 40) -> str:
        """Returns what happened last, a line for each entry: writes, events, sessions, faults, and requests that failed."""
        # Not with `since_seq`: a limit would then keep the first entries, and these are to be the last.
        latest = self.history(story=True, limit=min(limit + 1, _MOST_ENTRIES))
        story = [entry for entry in latest if entry.seq > self._story_begins]
        lines = [str(entry) for entry in story[len(story) - min(limit, len(story)) :]]
        if len(story) > limit:
            lines.insert(0, "… earlier entries are left out")
        return "\n".join(lines)

    def story(self) -> str:
        """Returns `history_text`; or, if the server does not answer, why, and the end of its log."""
        try:
            return self.history_text()
        except ZkMiniError as error:
            return f"{error}\n{self.log[-_LOG_END:]}".rstrip()

    def begin_story(self) -> None:
        """Lets `history_text` begin here."""
        latest = self.history(limit=1)
        self._story_begins = latest[-1].seq if latest else 0

    def __enter__(self) -> ZkMini:
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "" if self in running else ", stopped"
        return f"<ZkMini {self.hosts}{state}>"


def _refuse_other_api(http: Http) -> None:
    """Raises an error if the HTTP API of a server is newer than this package."""
    try:
        api = int(http.json("GET", "/v1/status")["api"])
    except (ValueError, KeyError, TypeError):
        raise ZkMiniError(f"{http.url} answers HTTP, but is no zk-mini") from None
    if api > _API:
        raise ZkMiniError(
            f"the server at {http.url} has version {api} of the HTTP API, and this package knows version {_API}:"
            " install a newer package, or run an older server"
        )


def _addresses(http: Http) -> str:
    """Returns the addresses of an ensemble; nothing for a single server."""
    return ",".join(ServerInfo.from_json(server).address for server in http.json("GET", "/v1/servers"))


# Servers of this process that have not been stopped, and what is told of one that will be.
running: list[ZkMini] = []
observers: list[Callable[[ZkMini], None]] = []
