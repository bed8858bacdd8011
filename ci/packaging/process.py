"""A program in a root directory of its own, as a user of its own."""

import json
import os
import queue
import subprocess
import threading

from .complaint import Complaint

PATIENCE_S = 60


def into(root, user=None):
    """Returns what a new process does first: goes into a root directory, and becomes a user there (a pair of numbers)."""
    if os.geteuid() != 0:
        raise Complaint("a root directory of its own needs root: run ci/package as root")

    def enter():
        os.chroot(root)
        os.chdir("/")
        if user:
            uid, gid = user
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)

    return enter


def started(root, command, user, env):
    """Starts a command; its environment is empty unless given, as that of a container."""
    return subprocess.Popen(
        command,
        preexec_fn=into(root, user),
        env=env or {},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(root, *command, user=None, env=None):
    """Runs a command to its end, and returns its standard output. A failure is a complaint."""
    process = started(root, command, user, env)
    try:
        stdout, stderr = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise Complaint(f"{' '.join(command)}: goes on after {PATIENCE_S} seconds") from None
    if process.returncode != 0:
        raise Complaint(f"{' '.join(command)}: status {process.returncode}\n{stdout}{stderr}")
    return stdout


class Server:
    """`zk-mini serve` in a root directory; stopped at the end of a `with` block, and it must then end with status 0."""

    def __init__(self, root, command, user=None, env=None):
        self.command = [*command, "--ready", "json"]
        self.process = started(root, self.command, user, env)
        self.log = []
        self.reader = threading.Thread(target=lambda: self.log.extend(self.process.stderr), daemon=True)
        self.reader.start()
        lines = queue.Queue()
        threading.Thread(target=lambda: lines.put(self.process.stdout.readline()), daemon=True).start()
        try:
            line = lines.get(timeout=PATIENCE_S)
        except queue.Empty:
            line = ""
        if not line:
            self.process.kill()
            self.fail("does not serve")
        self.ready = json.loads(line)
        self.port = int(self.ready["listen"][0].rpartition(":")[2])

    def fail(self, why):
        self.process.wait()
        self.reader.join(PATIENCE_S)
        raise Complaint(f"{' '.join(self.command)}: {why}\n{''.join(self.log)}")

    def __enter__(self):
        return self

    def __exit__(self, failed, *_):
        self.process.terminate()
        try:
            status = self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.fail("goes on after SIGTERM")
        if status != 0 and not failed:
            self.fail(f"ends with status {status}")
