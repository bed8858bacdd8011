"""A server as a child process."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import tempfile
import time
import weakref
from collections.abc import Sequence
from typing import Any, Optional

from ._errors import StartError

# Bytes of the log that an error shows.
_LOG_END = 4096
# Time for a clean stop, after which the server is killed.
_STOP_SECONDS = 5.0
# Time in which a process is seen to end after its connections broke: the kernel closes them first.
_ENDING_SECONDS = 1.0


class Process:
    """A running ``zk-mini serve``. It ends when its standard input closes, so it never outlives this process."""

    def __init__(self, program: str, arguments: Sequence[str], start_timeout: float) -> None:
        command = [program, "serve", "--listen", "127.0.0.1:0", "--ready", "json", "--stop-on-eof", *arguments]
        self._owner = os.getpid()
        self._last_log = ""
        # A file is read when somebody asks for it; a pipe would need a thread that reads it all the time.
        self._log = tempfile.TemporaryFile()
        try:
            self._child = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, bufsize=0, start_new_session=True
            )
        except OSError as error:
            self._log.close()
            raise StartError(f"{program} cannot be run: {error.strerror or error}") from error
        self.pid = self._child.pid
        _children.add(self)
        try:
            self.ready = self._first_line(program, start_timeout)
        except BaseException:
            self.kill()
            raise

    def log(self) -> str:
        """Returns what the server has written to standard error."""
        if self._log.closed:
            return self._last_log
        return self._read_log(0)

    def ending(self) -> Optional[str]:
        """Returns how the server has ended, if it has. Waits a moment for the end of a server that has just broken a connection."""
        # A forked process cannot wait for it.
        if os.getpid() != self._owner:
            return None
        try:
            status = self._child.wait(_ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            return None
        return f"ended with status {status}" if status >= 0 else f"was ended by signal {-status}"

    def stop(self) -> None:
        """Lets the server finish, and waits until it has."""
        self._end(_STOP_SECONDS)

    def kill(self) -> None:
        """Ends the server at once."""
        self._end(0)

    def _end(self, patience: float) -> None:
        if self._log.closed or os.getpid() != self._owner:
            return
        _children.discard(self)
        _close(self._child.stdin)
        if patience:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(patience)
        if self._child.poll() is None:
            self._child.kill()
        self._child.wait()
        _close(self._child.stdout)
        self._last_log = self._read_log(-_LOG_END)
        self._log.close()

    def _first_line(self, program: str, patience: float) -> dict[str, Any]:
        line = self._read_line(time.monotonic() + patience)
        if not line.endswith(b"\n"):
            how = self.ending() or f"did not say within {patience:g} s that it is ready"
            log = self._read_log(-_LOG_END).strip() or "(empty)"
            raise StartError(f"the server did not start: {program} {how}; its log:\n{log}")
        try:
            ready = json.loads(line)
            ready["listen"], ready["http"]
        except (ValueError, KeyError, TypeError):
            raise StartError(f"{program} is no zk-mini of this version: its first line is {line[:200]!r}") from None
        if not ready["http"]:
            raise StartError("the server has no HTTP, by which it is controlled: leave out `--http off`")
        return dict(ready)

    def _read_line(self, deadline: float) -> bytes:
        stdout = self._child.stdout
        assert stdout is not None
        line = b""
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            while b"\n" not in line and selector.select(max(0.0, deadline - time.monotonic())):
                part = os.read(stdout.fileno(), 65536)
                if not part:
                    # Its status follows.
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        self._child.wait(_STOP_SECONDS)
                    break
                line += part
        # Each server of an ensemble writes a line.
        return b"".join(line.partition(b"\n")[:2])

    def _read_log(self, start: int) -> str:
        # Not `seek` and `read`: the server writes with the same offset.
        descriptor = self._log.fileno()
        size = os.fstat(descriptor).st_size
        start = max(0, size + start) if start < 0 else start
        return os.pread(descriptor, size - start, start).decode(errors="replace")

    def _forget(self) -> None:
        """Lets go of the server in a forked child: it belongs to the parent, and must end with that."""
        _close(self._child.stdin)
        # Its `Popen` must neither wait for it nor warn that it runs.
        self._child.returncode = 0


def _close(stream: Any) -> None:
    if stream is not None and not stream.closed:
        stream.close()


_children: weakref.WeakSet[Process] = weakref.WeakSet()


def _after_fork() -> None:
    for child in list(_children):
        child._forget()
    _children.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
