"""Tests of with_servers.py, with zk-mini in ZK_MINI; standard library only."""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent

# Starts three servers as a harness does, and prints the id of each process.
HARNESS = """
cd "$1"
server() {
    mkdir -p $1
    echo $1 >$1/myid
    echo "dataDir=$PWD/$1
clientPort=$((ZOOKEEPER_PORT_OFFSET + 10 * $1 - 10))
tickTime=2000" >$1/zoo.cfg
    for n in 1 2 3; do echo "server.$n=localhost:$((ZOOKEEPER_PORT_OFFSET + 10 * n - 8)):1:participant" >>$1/zoo.cfg; done
    java -Dzookeeper.4lw.commands.whitelist=* org.example.Main $1/zoo.cfg &
    echo "server $1 $!"
}
for n in 3 2 1; do server $n; done
while read -r n; do server $n; done
wait
"""


def within(condition):
    """Waits until a condition holds. Returns `False` if it does not within 20 seconds."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


class Suite:
    """The program with a harness, in a session of its own."""

    def __init__(self, folder):
        self.process = subprocess.Popen(
            [sys.executable, HERE / "with_servers.py", "bash", "-c", HARNESS, "harness", folder],
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
        while count:
            words = self.process.stdout.readline().split()
            if words[0] == "server":
                self.pids[int(words[1])] = int(words[2])
            else:
                self.ports.add(int(words[-1].rpartition(":")[2]))
                count -= 1

    def port(self, number):
        return sorted(self.ports)[number - 1]

    def modes(self):
        """Returns the mode of each server; `None` for one whose port refuses."""
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
        for pid in self.left():
            os.kill(int(pid), signal.SIGKILL)
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def mode(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(b"srvr")
            answer = b"".join(iter(lambda: connection.recv(4096), b"")).decode()
    except ConnectionRefusedError:
        return None
    return next((line.removeprefix("Mode: ") for line in answer.splitlines() if line.startswith("Mode: ")), answer)


class WithServers(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.suite = Suite(folder.name)
        self.addCleanup(self.suite.end)
        self.suite.wait_for_servers(3)

    def test_each_process_is_a_server_of_one_ensemble(self):
        suite = self.suite
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

    def test_nothing_is_left_when_it_is_killed(self):
        for number in signal.SIGKILL, signal.SIGTERM:
            with self.subTest(number), tempfile.TemporaryDirectory() as folder:
                suite = Suite(folder)
                self.addCleanup(suite.end)
                suite.wait_for_servers(3)
                self.assertGreaterEqual(len(suite.left()), 6)
                os.kill(suite.process.pid, number)
                self.assertTrue(within(lambda: not suite.left()), suite.left())

    def test_nothing_is_left_when_the_suite_ends(self):
        children = pathlib.Path(f"/proc/{self.suite.process.pid}/task/{self.suite.process.pid}/children").read_text().split()
        for child in children:
            if pathlib.Path(f"/proc/{child}/comm").read_text() == "bash\n":
                os.kill(int(child), signal.SIGKILL)
        self.assertTrue(within(lambda: not self.suite.left()), self.suite.left())
        self.assertEqual(self.suite.process.wait(), 128 + signal.SIGKILL)


if __name__ == "__main__":
    unittest.main()
