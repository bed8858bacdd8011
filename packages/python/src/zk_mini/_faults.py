"""Rules of faults: when something goes wrong, and what goes wrong then."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Optional, Union

from ._answers import Hit, Json
from ._errors import NotFoundError
from ._http import Http

# Seconds, or a span of time.
Time = Union[float, datetime.timedelta]


def milliseconds(time: Time) -> int:
    """Returns a span of time in whole milliseconds."""
    seconds = time.total_seconds() if isinstance(time, datetime.timedelta) else time
    return round(seconds * 1000)


class Fault:
    """A rule in the server. As a context manager it holds for a block."""

    def __init__(self, http: Http, answer: Json) -> None:
        self._http = http
        self.id: str = answer["id"]
        # The rule in words.
        self.text: str = answer["text"]

    @property
    def fired(self) -> int:
        """Number of times that the rule did something."""
        return int(self._now()["fired"])

    @property
    def matched(self) -> int:
        """Number of cases that the rule fits, whether or not it did something."""
        return int(self._now()["matched"])

    @property
    def state(self) -> str:
        """``active``, or ``used_up`` once it has fired as often as it may."""
        return str(self._now()["state"])

    @property
    def hits(self) -> list[Hit]:
        """Cases in which the rule did something: the latest hundred."""
        return [Hit.from_json(hit) for hit in self._now()["hits"]]

    def remove(self) -> None:
        """Removes the rule; one that is removed already stays so."""
        with contextlib.suppress(NotFoundError):
            self._http.json("DELETE", f"/v1/faults/{self.id}")

    def _now(self) -> Json:
        answer: Json = self._http.json("GET", f"/v1/faults/{self.id}")
        return answer

    def __enter__(self) -> Fault:
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.remove()

    def __repr__(self) -> str:
        return f"<Fault {self.id}: {self.text}>"


def rule(
    op: Optional[Union[str, Sequence[str]]], when: Mapping[str, Any], effect: Mapping[str, Any], slow: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns a rule in the words of the server; what is ``None`` or false was not given."""
    case = {"op": op if op is None or isinstance(op, str) else list(op), **when}
    then = {name: value for name, value in effect.items() if value is not None and value is not False}
    link = {name: value for name, value in slow.items() if value is not None}
    if link:
        then["slow"] = {"latency_ms": 0, **link}
    return {"when": {name: value for name, value in case.items() if value is not None and value is not False}, "then": then}
