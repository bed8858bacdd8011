"""The server as a process: its start, its end, and where its program is."""

from __future__ import annotations

import importlib.metadata
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Callable

import pytest
from zk_mini import ProgramNotFoundError, ServerGoneError, StartError, ZkMini, ZkMiniError, find_program

WaitFor = Callable[[Callable[[], object]], None]


def ended(pid: int) -> bool:
    """True if the process is gone, or a zombie that nobody has waited for."""
    if Path("/proc/self/stat").exists():
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except FileNotFoundError:
            return True
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], stdout=subprocess.PIPE, text=True, check=False).stdout.strip()
    return not state or state.startswith("Z")


def script(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_the_program_is_looked_for_in_this_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given, named, on_path = (script(tmp_path / name, "exit 0") for name in ("given", "named", "zk-mini"))
    monkeypatch.setenv("ZK_MINI", str(named))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_program(given) == str(given)
    assert find_program() == str(named)
    monkeypatch.delenv("ZK_MINI")
    # That of the installed wheel.
    assert find_program() == os.path.realpath(Path(sys.executable).parent / "zk-mini")
    monkeypatch.setattr("zk_mini._program._carried", lambda: None)
    assert find_program() == str(on_path)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ProgramNotFoundError, match=r"argument `program` \(not given\).*ZK_MINI.*package.*PATH"):
        find_program()
    monkeypatch.setenv("ZK_MINI", "/none")
    with pytest.raises(ProgramNotFoundError, match="the variable ZK_MINI names /none, which is not an executable file"):
        find_program()


def test_the_installed_command_runs() -> None:
    command = Path(sys.executable).parent / "zk-mini"
    assert subprocess.run([command, "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout.startswith("zk-mini ")


def test_a_start_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"(?s)ended with status 2; its log:\n.*--nonsense"):
        ZkMini.start(args=["--nonsense"])
    with pytest.raises(StartError, match="leave out `--http off`"):
        ZkMini.start(args=["--http", "off"])
    with pytest.raises(StartError, match=r"(?s)ended with status 2; its log:\n.*none\.yaml"):
        ZkMini.start(load="none.yaml")
    with pytest.raises(StartError, match=r"is no zk-mini of this version: its first line is b'hello\\n'"):
        ZkMini.start(program=script(tmp_path / "other", "echo hello"))
    with pytest.raises(StartError, match=r"(?s)did not say within 0.01 s that it is ready; its log:\n\(empty\)"):
        ZkMini.start(program=script(tmp_path / "mute", "read nothing"), start_timeout=0.01)
    no_program = tmp_path / "no-program"
    no_program.write_text("#!/none\n")
    no_program.chmod(0o755)
    with pytest.raises(StartError, match="cannot be run"):
        ZkMini.start(program=no_program)


def test_an_ensemble_that_does_not_answer_is_stopped(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        # A port on which nobody listens refuses.
        nobody.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        ready = json.dumps({"listen": [address], "http": f"http://{address}", "http_on": [address]})
        program = script(tmp_path / "silent", f"echo $$ > '{tmp_path}/pid'\necho '{ready}'\nread nothing")
        with pytest.raises(ServerGoneError, match="does not answer GET /v1/status"):
            ZkMini.start(servers=3, program=program)
    assert ended(int((tmp_path / "pid").read_text()))


def test_the_end_of_a_server_is_told_even_if_its_connections_end_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The script may be slow.
    monkeypatch.setattr("zk_mini._process._ENDING_SECONDS", 60.0)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        ready = json.dumps({"listen": [address], "http": f"http://{address}"})
        program = script(tmp_path / "dying", f"echo '{ready}'\nsleep 0.2\nexit 3")
        with pytest.raises(ServerGoneError, match="GET /v1/status: it ended with status 3"):
            ZkMini.start(program=program)


def test_a_newer_api_is_refused(tmp_path: Path) -> None:
    class Newer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"api": 2}')

        def log_message(self, format: str, *args: object) -> None:
            pass

    refusal = "version 2 of the HTTP API, and this package knows version 1"
    with ThreadingHTTPServer(("127.0.0.1", 0), Newer) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            address = f"127.0.0.1:{server.server_port}"
            with pytest.raises(ZkMiniError, match=refusal):
                ZkMini.attach(f"http://{address}")
            ready = json.dumps({"listen": [address], "http": f"http://{address}"})
            program = script(tmp_path / "newer", f"echo $$ > '{tmp_path}/pid'\necho '{ready}'\nread nothing")
            with pytest.raises(ZkMiniError, match=refusal):
                ZkMini.start(program=program)
        finally:
            server.shutdown()
    assert ended(int((tmp_path / "pid").read_text()))


def test_it_stops_and_leaves_its_log() -> None:
    with ZkMini.start() as zk:
        pid = zk.pid
        assert pid and not ended(pid)
        assert zk.host == "127.0.0.1" and zk.hosts == f"{zk.host}:{zk.port}"
    assert ended(pid)
    assert "stop" in zk.log
    assert repr(zk) == f"<ZkMini {zk.hosts}, stopped>"


def test_options_are_those_of_the_server(tmp_path: Path) -> None:
    with ZkMini.start(tick_ms=50, data_dir=tmp_path, compat="3.8", args=["--history", "0"]) as zk:
        assert zk.clock().tick_ms == 50
        assert zk.status().compat.startswith("3.8")
        zk.put("/a")
        assert zk.history_text() == ""
    assert list(tmp_path.glob("version-2/log.*"))


def test_options_by_name_come_before_args() -> None:
    with ZkMini.start(args=["--compat", "3.9", "--fast", "--compat=3.9"], compat="3.8", fast=False, tick_ms=70) as zk:
        assert zk.status().compat.startswith("3.8")
        assert zk.clock().tick_ms == 70


def test_it_ends_with_a_program_that_is_killed(wait_for: WaitFor) -> None:
    program = "from zk_mini import ZkMini; zk = ZkMini.start(); print(zk.pid, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        server = int(child.stdout.readline())
        assert not ended(server)
        child.kill()
        wait_for(lambda: ended(server))
        assert child.wait() == -signal.SIGKILL


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_uses_the_server_and_does_not_stop_it(zk: ZkMini) -> None:
    child = os.fork()
    if child == 0:
        zk.put("/from-the-child")
        zk.stop()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert zk.exists("/from-the-child")


def test_a_forked_child_does_not_keep_the_server_alive(wait_for: WaitFor) -> None:
    program = """
import os
from zk_mini import ZkMini
zk = ZkMini.start()
child = os.fork()
if child == 0:
    os.read(0, 1)
    os._exit(0)
print(zk.pid, flush=True)
input()
"""
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        server = int(parent.stdout.readline())
        parent.kill()
        # The child waits for the end of the input, which is still open here.
        wait_for(lambda: ended(server))


def test_the_texts_of_the_licences_come_with_the_package() -> None:
    files = importlib.metadata.files("zk-mini") or []
    texts = {file.name: file.read_text() for file in files if file.parent.name == "licenses"}
    assert "Permission is hereby granted" in texts["LICENSE-MIT"]
    assert "Apache License" in texts["LICENSE-APACHE"]
