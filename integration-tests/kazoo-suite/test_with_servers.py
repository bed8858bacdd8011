"""Tests of with_servers.py, with zk-mini in ZK_MINI; standard library only."""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from ports import reserved

# Maximum wait, in seconds.
PATIENCE = 20

HERE = pathlib.Path(__file__).resolve().parent

# Starts three servers as a harness does, the last with the given role, and prints the id of each process.
HARNESS = """
cd "$1"
last=$2
server() {
    mkdir -p $1
    echo $1 >$1/myid
    echo "dataDir=$PWD/$1
clientPort=$((ZOOKEEPER_PORT_OFFSET + 10 * $1 - 10))
tickTime=2000" >$1/zoo.cfg
    for n in 1 2 3; do
        role=participant
        [ $n -lt 3 ] || role=$last
        echo "server.$n=localhost:$((ZOOKEEPER_PORT_OFFSET + 10 * n - 8)):$((ZOOKEEPER_PORT_OFFSET + 10 * n - 9)):$role" >>$1/zoo.cfg
    done
    java -Dzookeeper.4lw.commands.whitelist=* org.example.Main $1/zoo.cfg &
    echo "server $1 $!"
}
for n in 3 2 1; do server $n; done
while read -r n; do server $n; done
wait
"""


def within(condition):
    """Waits until a condition holds. Returns `False` if it does not in time."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


class Suite:
    """The program with a harness, in a session of its own."""

    def __init__(self, folder, last="participant"):
        self.process = subprocess.Popen(
            [sys.executable, HERE / "with_servers.py", "bash", "-c", HARNESS, "harness", folder, last],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            text=True,
        )
        self.pids = {}
        self.ports = set()

    def wait_for_servers(self, count):
        """Waits until so many servers have said that they are ready."""
        watch = threading.Timer(PATIENCE, self.process.kill)
        watch.start()
        while count:
            words = self.process.stdout.readline().split()
            if not words:
                raise RuntimeError("the servers do not start")
            if words[0] == "server":
                self.pids[int(words[1])] = int(words[2])
            else:
                self.ports.add(int(words[-1].rpartition(":")[2]))
                count -= 1
        watch.cancel()

    def keeper(self):
        """Returns the name by which the processes of servers find the program."""
        environment = pathlib.Path(f"/proc/{self.pids[1]}/environ").read_bytes().split(b"\0")
        return next(entry.partition(b"=")[2] for entry in environment if entry.startswith(b"WITH_SERVERS=")).decode()

    def modes(self):
        """Returns the mode of each server; `None` for one that is down."""
        return [mode(port) for port in sorted(self.ports)]

    def left(self):
        """Returns the processes that it has started and that run."""
        left = []
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                state, _, _, session = stat.read_text().rpartition(")")[2].split()[:4]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(session) == self.process.pid and state != "Z":
                left.append(stat.parent.name)
        return left

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        for pid in self.left():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


def mode(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(b"srvr")
            answer = b"".join(iter(lambda: connection.recv(4096), b"")).decode()
    except ConnectionError:
        return None
    return next((line.removeprefix("Mode: ") for line in answer.splitlines() if line.startswith("Mode: ")), answer)


class WithServers(unittest.TestCase):
    def started(self, *role):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        suite = Suite(folder.name, *role)
        self.addCleanup(suite.end)
        suite.wait_for_servers(3)
        return suite

    def test_a_server_may_be_an_observer(self):
        self.assertEqual(self.started("observer").modes(), ["follower", "leader", "observer"])

    def test_each_process_is_a_server_of_one_ensemble(self):
        suite = self.started()
        self.assertEqual(sorted(filter(None, suite.modes())), ["follower", "follower", "leader"])
        # However it ends.
        for number in signal.SIGTERM, signal.SIGKILL:
            os.kill(suite.pids[2], number)
            self.assertTrue(within(lambda: suite.modes()[1] is None))
            self.assertEqual(suite.modes().count("leader"), 1)
            suite.process.stdin.write("2\n")
            suite.process.stdin.flush()
            suite.wait_for_servers(1)
            self.assertEqual(suite.modes().count("follower"), 2)
        os.kill(suite.pids[3], signal.SIGTERM)
        os.kill(suite.pids[1], signal.SIGTERM)
        self.assertTrue(within(lambda: suite.modes()[0] is None and suite.modes()[2] is None))
        self.assertEqual(suite.modes()[1], "read-only", "no quorum")
        os.kill(suite.pids[2], signal.SIGTERM)
        self.assertTrue(within(lambda: suite.modes() == [None, None, None]))

    def test_the_outputs_of_a_killed_process_end_with_its_server(self):
        suite = self.started()
        folder = pathlib.Path(f"/proc/{suite.pids[1]}/cwd").resolve()
        server = subprocess.Popen(
            [HERE / "java", "org.example.Main", folder / "1" / "zoo.cfg"],
            env={**os.environ, "WITH_SERVERS": suite.keeper()},
            stdout=subprocess.PIPE,
            text=True,
        )
        os.kill(suite.pids[1], signal.SIGTERM)
        self.assertIn("listening on", server.stdout.readline())
        self.assertIsNotNone(suite.modes()[0])
        server.kill()
        self.assertEqual(server.stdout.read(), "")
        self.assertIsNone(suite.modes()[0])
        server.wait()
        server.stdout.close()

    def test_servers_without_a_port_get_one_each(self):
        suite = self.started()
        servers = {self.server(suite, "clientPort=0") for _ in range(2)}
        self.assertEqual([mode(port) for port in servers], ["standalone", "standalone"])

    def test_the_port_for_clients_may_stand_behind_the_ports_for_servers(self):
        suite = self.started()
        with reserved(9) as first:
            lines = [f"server.{n}=localhost:{first + n}:{first + n + 2}:participant;localhost:{first + n + 4}" for n in (1, 2, 3)]
            self.assertEqual(self.server(suite, *lines), first + 5)
            self.assertEqual([mode(first + n) for n in (5, 6, 7)], ["read-only", None, None])

    def server(self, suite, *lines):
        """Starts server 1 with these lines in its zoo.cfg, until the end of the test. Returns its port."""
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        folder = pathlib.Path(temporary.name)
        (folder / "zoo.cfg").write_text("\n".join((f"dataDir={folder}", *lines)))
        (folder / "myid").write_text("1")
        server = subprocess.Popen(
            [HERE / "zkServer.sh", "start-foreground", folder / "zoo.cfg"],
            env={**os.environ, "WITH_SERVERS": suite.keeper()},
            stdout=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(server.wait)
        self.addCleanup(server.stdout.close)
        self.addCleanup(server.kill)
        return int(server.stdout.readline().rpartition(":")[2])

    def test_nothing_is_left_when_it_is_killed(self):
        for number in signal.SIGKILL, signal.SIGTERM:
            with self.subTest(number):
                suite = self.started()
                self.assertGreaterEqual(len(suite.left()), 6)
                os.kill(suite.process.pid, number)
                self.assertTrue(within(lambda: not suite.left()), suite.left())

    def test_nothing_is_left_when_the_suite_ends(self):
        suite = self.started()
        children = pathlib.Path(f"/proc/{suite.process.pid}/task/{suite.process.pid}/children").read_text()
        is_harness = lambda child: pathlib.Path(f"/proc/{child}/comm").read_text() == "bash\n"
        os.kill(int(next(filter(is_harness, children.split()))), signal.SIGKILL)
        self.assertTrue(within(lambda: not suite.left()), suite.left())
        self.assertEqual(suite.process.wait(), 128 + signal.SIGKILL)


if __name__ == "__main__":
    unittest.main()
