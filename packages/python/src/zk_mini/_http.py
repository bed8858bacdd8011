"""Calls of the HTTP control."""

from __future__ import annotations

import http.client
import json
import socket
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any, Callable, Optional

from ._errors import ServerGoneError, api_error

_TIMEOUT_SECONDS = 60.0


class Http:
    """The HTTP side of a server. Each call has a connection of its own, so threads and forked processes may share this."""

    def __init__(self, url: str, token: Optional[str] = None, ending: Callable[[], Optional[str]] = lambda: None) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme != "http" or not parts.hostname or not parts.port or parts.path not in ("", "/"):
            raise ValueError(f"{url} is no address of a server; expected is http://HOST:PORT")
        self.url = url.rstrip("/")
        self.address = parts.netloc
        self.host, self.port = parts.hostname, parts.port
        # As in a file, where a line end may follow.
        self._token = token and token.strip()
        # What has become of the process, if it is ours.
        self._ending = ending

    def call(
        self,
        method: str,
        path: str,
        query: Optional[Mapping[str, Any]] = None,
        body: Optional[bytes] = None,
        content_type: str = "application/octet-stream",
        accept: str = "application/json",
    ) -> bytes:
        """Sends a request. Returns the body of its answer; raises what the server said if it refused."""
        # Frames that pytest leaves out: what the server said matters, not how it was asked.
        __tracebackhide__ = True
        target = urllib.parse.quote(path) + _query(query or {})
        headers = {"Accept": accept}
        if body is not None:
            headers["Content-Type"] = content_type
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        connection = http.client.HTTPConnection(self.host, self.port, timeout=_TIMEOUT_SECONDS)
        try:
            connection.request(method, target, body, headers)
            response = connection.getresponse()
            status, answer = response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            raise self._gone(f"{method} {target}", error) from error
        finally:
            connection.close()
        if status >= 400:
            raise _refusal(f"{method} {target}", status, answer)
        return answer

    def events(self, query: Mapping[str, Any], patience: float) -> Iterator[Any]:
        """Yields the events of the server as they happen, from this call on. Raises `TimeoutError` if none comes for so many seconds."""
        events = self._events("/v1/events" + _query(query), patience)
        # The first value is none: it says that the stream is open.
        next(events)
        return events

    def _events(self, target: str, patience: float) -> Iterator[Any]:
        call = f"GET {target}"
        headers = {"Accept": "text/event-stream", **({"Authorization": f"Bearer {self._token}"} if self._token else {})}
        connection = http.client.HTTPConnection(self.host, self.port, timeout=_TIMEOUT_SECONDS)
        try:
            try:
                connection.request("GET", target, headers=headers)
                opened = connection.sock
                response = connection.getresponse()
                refusal = response.read() if response.status >= 400 else None
            except (OSError, http.client.HTTPException) as error:
                raise self._gone(call, error) from error
            if refusal is not None:
                raise _refusal(call, response.status, refusal)
            yield None
            while True:
                try:
                    data = _next_data(opened, response, time.monotonic() + patience)
                except socket.timeout:
                    raise TimeoutError(f"nothing happened within {patience:g} s") from None
                except (OSError, http.client.HTTPException) as error:
                    raise self._gone(call, error) from error
                yield json.loads(data)
        finally:
            connection.close()

    def _gone(self, call: str, error: Exception) -> ServerGoneError:
        ending = self._ending()
        why = f"it {ending}" if ending else f"{type(error).__name__}: {error}"
        return ServerGoneError(f"the server at {self.url} does not answer {call}: {why}")

    def json(self, method: str, path: str, query: Optional[Mapping[str, Any]] = None, body: Optional[Mapping[str, Any]] = None) -> Any:
        """Sends a request with JSON, and returns the JSON of its answer."""
        __tracebackhide__ = True
        sent = None if body is None else json.dumps(body).encode()
        return json.loads(self.call(method, path, query, sent, "application/json"))


def _next_data(opened: socket.socket, response: http.client.HTTPResponse, deadline: float) -> bytes:
    """Returns the data of the next event. Comments, which keep the connection alive, do not move the deadline."""
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            raise socket.timeout
        opened.settimeout(left)
        line = response.readline()
        if not line:
            raise http.client.HTTPException("the stream of events has ended")
        # Of an event's fields this alone is needed: the others are in it, too.
        if line.startswith(b"data:"):
            return line[len(b"data:") :]


def _query(options: Mapping[str, Any]) -> str:
    given = {name: _text(value) for name, value in options.items() if value is not None}
    return "?" + urllib.parse.urlencode(given, quote_via=urllib.parse.quote) if given else ""


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _refusal(call: str, status: int, answer: bytes) -> Exception:
    try:
        error = json.loads(answer)["error"]
        return api_error(call, status, error["code"], error["message"])
    except (ValueError, KeyError, TypeError):
        return api_error(call, status, "unknown", answer[:500].decode(errors="replace") or "the answer is empty")
