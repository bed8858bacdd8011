"""What a script does with a program: starts processes, waits for conditions, and notes what is compared between the two servers."""

import os
import re
import signal
import subprocess
import time

from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError
from servers import ZkMini

# Owners of nodes that belong to no session.
CONTAINER = -(1 << 63)
TTL_MASK = 0xFF << 56
PATIENCE = 60


class Stage:
    """A server, a folder, the processes of a program on them, and the notes."""

    def __init__(self, server, folder):
        self.server, self.folder = server, folder
        self.notes, self.rules, self.processes = [], [], []
        self._watch = None
        self._client = KazooClient(server.hosts, timeout=20)
        self._client.start(timeout=PATIENCE)

    def close(self):
        """Ends every process that it started."""
        for process in reversed(self.processes):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGCONT)
                os.killpg(process.pid, signal.SIGTERM)
        for process in reversed(self.processes):
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._client.stop()
        self._client.close()

    def start(self, command, name, **options):
        """Starts a process in a group of its own. What it writes goes to the file NAME.log."""
        with open(self.folder / f"{name}.log", "ab") as log:
            options = {"stdout": log, "stderr": log, "stdin": subprocess.DEVNULL, "start_new_session": True, **options}
            process = subprocess.Popen([str(word) for word in command], **options)
        self.processes.append(process)
        return process

    def kill(self, process):
        """Kills a process of ours and its children, as a machine that loses power does."""
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    @staticmethod
    def kill_group(pid):
        """Kills the group of a process that one of ours has started."""
        os.killpg(os.getpgid(pid), signal.SIGKILL)

    def freeze(self, process):
        """Stops a process of ours, with its children, as a long pause does."""
        os.killpg(process.pid, signal.SIGSTOP)

    def thaw(self, process):
        """Lets it run on."""
        os.killpg(process.pid, signal.SIGCONT)

    def until(self, what, condition, within=PATIENCE):
        """Waits until the condition gives something true, which it returns."""
        end = time.monotonic() + within
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > end:
                raise AssertionError(f"{self.server.name}: not within {within} s: {what}; the tree: {self.tree('/')}")
            time.sleep(0.1)

    def same(self, pattern, replacement):
        """What differs between any two runs, such as a port: the pattern's matches become the replacement in all notes."""
        self.rules.append((re.compile(pattern), replacement))

    def name_port(self, port, name):
        """Gives a port a name in all notes."""
        self.same(rf"\b{port}\b", name)

    def note(self, what, value):
        """Notes something that must be the same on both servers."""
        self.notes.append((what, self._reduced(value)))

    def _reduced(self, value):
        if isinstance(value, dict):
            return {self._reduced(key): self._reduced(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._reduced(item) for item in value]
        if isinstance(value, str):
            for pattern, replacement in self.rules:
                value = pattern.sub(replacement, value)
        return value

    def tree(self, path, data=True):
        """Returns the nodes from this path on as lines: path, kind, owner by order of appearance, data."""
        owners, lines = {}, []

        def visit(path):
            try:
                value, stat = self._client.get(path)
                # Random parts of names do not decide who comes first.
                children = sorted(self._client.get_children(path), key=self._reduced)
            except NoNodeError:
                return
            line = f"{path} {self._kind(stat, owners)}"
            if data and value:
                line += " " + value.decode("utf-8", "backslashreplace")
            lines.append(line)
            for child in children:
                visit(path.rstrip("/") + "/" + child)

        visit(path)
        return [line for line in lines if not line.startswith("/zookeeper")]

    @staticmethod
    def _kind(stat, owners):
        owner = stat.ephemeralOwner
        if owner == 0:
            return "persistent"
        if owner == CONTAINER:
            return "container"
        if owner & TTL_MASK == TTL_MASK:
            return "ttl"
        return "ephemeral of session " + str(owners.setdefault(owner, len(owners) + 1))

    def get(self, path):
        """Returns the data of a node, or nothing."""
        try:
            return self._client.get(path)[0]
        except NoNodeError:
            return None

    def children(self, path):
        """Returns the names of the children of a node, sorted; none if there is no such node."""
        try:
            return sorted(self._client.get_children(path))
        except NoNodeError:
            return []

    def create(self, path, data=b""):
        """Creates a persistent node."""
        self._client.create(path, data, makepath=True)

    def sessions(self):
        """Returns the number of sessions that the server knows."""
        return int(re.search(r"zk_global_sessions\s+(\d+)", self._client.command(b"mntr")).group(1))

    def watch(self, path):
        """Begins, or begins again, to collect what a client with a watch on this path and all below it is told."""
        name = f"watch-{len(self.processes)}"
        process = self.start([ZkMini.program(), "watch", "-r", "-s", self.server.hosts, path], name)
        self._watch = self.folder / f"{name}.log"
        self.until("a watch", lambda: self._watch.stat().st_size > 0 or process.poll() is not None)

    def events(self, last=None):
        """Returns the events until now in their order, after the one that has to be there has come."""
        def read():
            lines = [" ".join(line.split()) for line in self._watch.read_text().splitlines()]
            return [line for line in lines if re.match(r"(created|deleted|changed|children|missed)\b", line)]

        if last:
            self.until(f"the event {last}", lambda: any(re.search(last, line) for line in read()))
        return read()
