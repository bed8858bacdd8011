"""The plugin, run as users run it."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable

import pytest
from test_process import ended
from zk_mini import ZkMini

TITLE = "*zk-mini, what happened last*"
RUN = ("-p", "no:asyncio", "-p", "no:cacheprovider", "-W", "error")


def test_a_fresh_server_each(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("n", range(3))
        def test_it(zk, n):
            assert zk.children("/") == ["zookeeper"]
            zk.put("/a")
        """
    )
    pytester.runpytest_subprocess(*RUN).assert_outcomes(passed=3)


def test_one_server_for_a_module_reset_between_tests(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        pids = set()

        def test_leave_a_mess(zk_session):
            pids.add(zk_session.pid)
            zk_session.put("/a")
            zk_session.fault("*", fail="NONODE")
            zk_session.advance(1)
            zk_session.freeze()

        def test_find_none(zk_session):
            pids.add(zk_session.pid)
            assert len(pids) == 1
            assert zk_session.children("/") == ["zookeeper"]
            assert zk_session.faults() == []
            assert zk_session.clock().mode == "real"
            assert not zk_session.status().frozen
        """
    )
    pytester.runpytest_subprocess(*RUN).assert_outcomes(passed=2)


def test_settings_of_a_test_a_module_and_a_run(pytester: pytest.Pytester) -> None:
    folder = pytester.mkdir("tests")
    (folder / "tree.yaml").write_text("/config/limit: {data: '10'}\n")
    (folder / "test_it.py").write_text(
        """
import pytest

pytestmark = pytest.mark.zk(tick_ms=70, load="tree.yaml")

def test_module(zk):
    assert zk.clock().tick_ms == 70
    assert zk.get("/config/limit") == b"10"
    assert zk.status().compat.startswith("3.8")
    assert zk.sessions() == []

@pytest.mark.zk(tick_ms=50, load={"/other": {"data": "x"}})
def test_closest_first(zk):
    assert zk.clock().tick_ms == 50
    assert zk.children("/") == ["other", "zookeeper"]

def test_session(zk_session):
    assert zk_session.clock().tick_ms == 70
"""
    )
    pytester.makeini("[pytest]\nzk_mini_args = --compat 3.8\n")
    pytester.runpytest_subprocess(*RUN, "--zk-mini-args=--max-watches 7 --history 100").assert_outcomes(passed=3)


def test_the_closest_of_several_settings_counts(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        def test_command_line(zk):
            assert zk.status().compat.startswith("3.8")
            assert zk.clock().tick_ms == 50

        @pytest.mark.zk(compat="3.9", fast=False)
        def test_marker(zk):
            assert zk.status().compat.startswith("3.9")
            assert zk.clock().tick_ms == 2000

        @pytest.mark.zk(fast=True)
        def test_twice_the_same(zk):
            assert zk.clock().tick_ms == 50
        """
    )
    pytester.makeini("[pytest]\nzk_mini_args = --compat 3.9 --fast\n")
    pytester.runpytest_subprocess(*RUN, "--zk-mini-args=--compat 3.8").assert_outcomes(passed=3)


def test_settings_that_are_wrong(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.zk(tick=50)
        def test_name(zk): ...

        @pytest.mark.zk(50)
        def test_place(zk): ...

        @pytest.mark.zk(tick_ms=50)
        def test_session(zk_session): ...

        @pytest.mark.zk(tick_ms=50)
        class TestClass:
            def test_session(self, zk_session): ...
        """
    )
    result = pytester.runpytest_subprocess(*RUN)
    result.assert_outcomes(errors=4)
    text = result.stdout.str()
    assert "unexpected keyword argument 'tick'" in text
    assert "takes options by their names, such as zk(tick_ms=50); not (50,)" in text
    result.stdout.fnmatch_lines(2 * ["E  *UsageError: zk_session is one server for the module: set its options by `pytestmark = pytest.mark.zk(...)`*"])


FAILURES = {
    "in the test": "def test_it(zk): zk.put('/wanted'); assert 0",
    "in a fixture after it": """
        import pytest
        @pytest.fixture
        def app(zk): zk.put('/wanted'); assert 0
        def test_it(app): ...
    """,
    "at the end of a fixture": """
        import pytest
        @pytest.fixture
        def app(zk): zk.put('/wanted'); yield; assert 0
        def test_it(app): ...
    """,
    "with a server of a module": "def test_it(zk_session): zk_session.put('/wanted'); assert 0",
    "with a server of its own": """
        from zk_mini import ZkMini
        def test_it():
            with ZkMini.start() as zk:
                zk.put('/wanted')
                assert 0
    """,
    "with unittest": """
        from zk_mini import ZkMiniTestCase
        class TestIt(ZkMiniTestCase):
            def test_it(self): self.zk.put('/wanted'); self.fail()
    """,
}


@pytest.mark.parametrize("source", FAILURES.values(), ids=FAILURES)
def test_a_failure_shows_the_history(pytester: pytest.Pytester, source: str) -> None:
    pytester.makepyfile(source)
    result = pytester.runpytest_subprocess(*RUN)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([TITLE, "server 127.0.0.1:*", "* /wanted created over HTTP *"])


def test_success_shows_nothing_and_a_module_shows_only_the_failed_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_good(zk_session): zk_session.put('/good')
        def test_bad(zk_session): zk_session.put('/bad'); assert 0
        """
    )
    text = pytester.runpytest_subprocess(*RUN).stdout.str()
    assert "/bad created" in text
    assert "/good created" not in text


def test_a_server_that_was_attached_to_is_reported_once(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from zk_mini import ZkMini

        def test_it(zk):
            for _ in range(3): ZkMini.attach(zk.http)
            zk.put('/wanted')
            assert 0
        """
    )
    text = pytester.runpytest_subprocess(*RUN).stdout.str()
    assert text.count("/wanted created over HTTP") == 1


def test_a_history_is_bounded(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_it(zk):
            for n in range(200): zk.put(f'/n{n}')
            assert 0
        """
    )
    lines = pytester.runpytest_subprocess(*RUN).stdout.lines
    assert sum("created over HTTP" in line for line in lines) == 40
    assert "… earlier entries are left out" in lines
    assert any("/n199 created" in line for line in lines)


def test_a_server_that_died_shows_its_log(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import os, signal
        def test_it(zk):
            os.kill(zk.pid, signal.SIGKILL)
            os.waitid(os.P_PID, zk.pid, os.WEXITED | os.WNOWAIT)
            zk.put('/a')
        """
    )
    result = pytester.runpytest_subprocess(*RUN)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*ServerGoneError: the server at * does not answer PUT /v1/nodes/a: it was ended by signal 9"])


def test_unittest_shows_the_history_too(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        """
from zk_mini import ZkMiniTestCase

class FailureTest(ZkMiniTestCase):
    def test_it(self): self.zk.put('/wanted'); self.fail()

class ErrorTest(ZkMiniTestCase):
    zk_options = {"args": ["--nonsense"]}
    def test_it(self): ...
"""
    )
    ended = subprocess.run([sys.executable, "-m", "unittest"], cwd=tmp_path, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 1
    assert "FAILED (failures=1, errors=1)" in ended.stderr
    assert "zk-mini, what happened last:" in ended.stderr
    assert "/wanted created over HTTP" in ended.stderr
    assert "StartError: the server did not start" in ended.stderr


def test_with_xdist(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("n", range(20))
        def test_own(zk, n):
            zk.put(f"/n{n}")
            assert len(zk.children("/")) == 2

        @pytest.mark.parametrize("n", range(20))
        def test_shared(zk_session, n):
            zk_session.put(f"/n{n}")
            assert len(zk_session.children("/")) == 2

        def test_bad(zk): zk.put("/wanted"); assert 0
        """
    )
    result = pytester.runpytest_subprocess(*RUN, "-n", "4")
    result.assert_outcomes(passed=40, failed=1)
    result.stdout.fnmatch_lines([TITLE, "* /wanted created over HTTP *"])


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_nothing_is_left_when_pytest_is_killed(
    pytester: pytest.Pytester, wait_for: Callable[[Callable[[], object]], None], workers: tuple[str, ...]
) -> None:
    pytester.makepyfile(
        """
        import os, pathlib, time
        def test_it(zk, zk_session):
            pathlib.Path("pids.tmp").write_text(f"{zk.pid} {zk_session.pid}")
            os.rename("pids.tmp", "pids")
            time.sleep(3600)
        """
    )
    runner = subprocess.Popen([sys.executable, "-m", "pytest", *RUN, *workers], cwd=pytester.path, stdout=subprocess.DEVNULL)
    try:
        pids = Path(pytester.path, "pids")
        wait_for(pids.exists)
        servers = [int(pid) for pid in pids.read_text().split()]
        assert not any(ended(server) for server in servers)
    finally:
        os.kill(runner.pid, signal.SIGKILL)
        runner.wait()
    wait_for(lambda: all(ended(server) for server in servers))


def test_a_server_is_there_within_milliseconds() -> None:
    starts = []
    for _ in range(40):
        before = time.perf_counter()
        with ZkMini.start():
            pass
        starts.append((time.perf_counter() - before) * 1000)
    print(f"start and stop of a server: median {statistics.median(starts):.1f} ms, least {min(starts):.1f} ms")
    # On a machine that does nothing else it is under 10 ms; this is a bound for a busy one, against a wait that creeps in.
    assert min(starts) < 100
