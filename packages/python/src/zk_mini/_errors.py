"""Errors of this package."""

from __future__ import annotations


class ZkMiniError(Exception):
    """Any error of this package."""


class ProgramNotFoundError(ZkMiniError):
    """The program zk-mini is nowhere."""


class StartError(ZkMiniError):
    """The server did not start. The message ends with its log."""


class ServerGoneError(ZkMiniError):
    """The server does not answer: it has ended, or it was never there."""


class MissedError(ZkMiniError):
    """Entries of the history were lost for a reader of events that was too slow, or came too late. ``missed`` is their number."""

    def __init__(self, missed: int) -> None:
        super().__init__(
            f"{missed} entries of the history, of any kind, were pushed out before these events were read."
            " Read faster, or keep a longer history (`--history`)"
        )
        self.missed = missed


class ApiError(ZkMiniError):
    """The server refused a call; the message is what it said.

    ``status`` is the status of HTTP, ``code`` its name in the answer, such as ``not_found``.
    """

    def __init__(self, call: str, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.call = call
        self.status = status
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.message} ({self.call}: {self.status} {self.code})"


class BadRequestError(ApiError):
    """Something in the call is malformed: a path, an id, a rule of faults."""


class NotFoundError(ApiError):
    """There is no such node, session, connection or rule."""


class ConflictError(ApiError):
    """The server is not in the state for it, such as a node that has children."""


class TooOldError(ApiError):
    """The history does not reach back to this zxid."""


_BY_STATUS: dict[int, type[ApiError]] = {400: BadRequestError, 404: NotFoundError, 409: ConflictError, 410: TooOldError}


def api_error(call: str, status: int, code: str, message: str) -> ApiError:
    """Returns the error for an answer."""
    return _BY_STATUS.get(status, ApiError)(call, status, code, message)
