"""The plugin of pytest: the fixtures ``zk`` and ``zk_session``, and the history of the server in the report of a failed test."""

from __future__ import annotations

import os
import shlex
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ._server import ZkMini, observers, running

if TYPE_CHECKING:
    from pluggy import Result

_TITLE = "zk-mini, what happened last"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the settings."""
    text = "Further options of `zk-mini serve` for the servers of the tests, such as --compat=3.8"
    parser.getgroup("zk-mini").addoption("--zk-mini-args", action="append", default=[], metavar="OPTIONS", help=text)
    parser.addini("zk_mini_args", text, type="args", default=[])


def pytest_configure(config: pytest.Config) -> None:
    """Describes the marker, and begins to record servers that end during a test."""
    config.addinivalue_line("markers", "zk(**options): options of ZkMini.start for the server of a test, or of a module as `pytestmark`")
    recorder = config.stash[_RECORDER] = _Recorder()
    config.pluginmanager.register(recorder, "zk_mini_recorder")


@pytest.fixture
def zk(request: pytest.FixtureRequest) -> Iterator[ZkMini]:
    """A ZooKeeper server for this test alone."""
    server = _start(request, request.node.iter_markers("zk"))
    yield server
    request.config.stash[_RECORDER].stop_after_report(server)


@pytest.fixture(scope="module")
def _zk_of_module(request: pytest.FixtureRequest) -> Iterator[tuple[ZkMini, str]]:
    with _start(request, request.node.iter_markers("zk")) as server:
        yield server, server.snapshot_text()


@pytest.fixture
def zk_session(request: pytest.FixtureRequest, _zk_of_module: tuple[ZkMini, str]) -> ZkMini:
    """A ZooKeeper server for this module, reset before each test: the nodes of its start, no session, no fault, a clock that runs."""
    if any(isinstance(node, (pytest.Item, pytest.Class)) for node, _ in request.node.iter_markers_with_node("zk")):
        raise pytest.UsageError("zk_session is one server for the module: set its options by `pytestmark = pytest.mark.zk(...)`, or take the fixture `zk`")
    server, nodes = _zk_of_module
    server.reset(all=True)
    if nodes:
        server.restore(nodes)
    server.begin_story()
    return server


def _start(request: pytest.FixtureRequest, markers: Iterator[pytest.Mark]) -> ZkMini:
    """Starts a server with the options of the markers, the closest first, after those of the configuration."""
    options: dict[str, Any] = {}
    for marker in markers:
        if marker.args:
            raise pytest.UsageError(f"the marker zk takes options by their names, such as zk(tick_ms=50); not {marker.args}")
        options = {**marker.kwargs, **options}
    load = options.get("load")
    if isinstance(load, (str, os.PathLike)):
        # Relative to the file of the test, wherever pytest was started.
        options["load"] = Path(request.path).parent / load
    config = request.config
    extra = [*config.getini("zk_mini_args"), *(word for text in config.getoption("zk_mini_args") for word in shlex.split(text))]
    options["args"] = [*extra, *options.get("args", ())]
    try:
        return ZkMini.start(**options)
    except TypeError as error:
        raise pytest.UsageError(f"the marker zk: {error}") from None


class _Recorder:
    """Puts the history of the servers into the report of a failed test, of those that have ended meanwhile, too."""

    def __init__(self) -> None:
        self._ended: list[str] = []
        self._to_stop: list[ZkMini] = []

    # Wrappers of the older kind, which every pluggy has: `wrapper=True` came with pluggy 1.2.
    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self) -> Generator[None, object, None]:
        self._ended.clear()
        observers.append(self._server_ends)
        try:
            yield
        finally:
            observers.remove(self._server_ends)
            for server in self._to_stop:
                server.stop()
            self._to_stop.clear()

    def stop_after_report(self, server: ZkMini) -> None:
        """Stops a server at the end of the test, once no report can ask it any more."""
        self._to_stop.append(server)

    def _server_ends(self, server: ZkMini) -> None:
        self._ended.append(_story(server))

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, Result[pytest.TestReport], None]:
        outcome = yield
        if outcome.excinfo:
            # No report was made; pytest tells why.
            return
        report = outcome.get_result()
        if report.failed:
            # A server may have been attached to many times.
            servers = {server.http: server for server in reversed(running)}
            stories = [*self._ended, *(_story(server) for server in reversed(servers.values()))]
            report.sections += [(_TITLE, story) for story in stories if story]


_RECORDER = pytest.StashKey[_Recorder]()


def _story(server: ZkMini) -> str:
    story = server.story()
    return f"server {server.hosts}\n{story}" if story else ""
