"""A terminal in which a program goes on."""

import os
import signal
import subprocess
import threading
import time

PATIENCE = 20
# Time without a further line, after which a program is taken to be waiting; only used to write a page.
PAUSE = 1.5


# A shell starts its background processes with SIGINT ignored, and so would be what they start: here Control-C has to work.
signal.signal(signal.SIGINT, signal.default_int_handler)


class Terminal:
    """Runs one command; its output comes line by line, without blank ones."""

    def __init__(self, command, folder, environment):
        self.errors = open(folder / f"{id(self)}.stderr", "w+")
        self.process = subprocess.Popen(
            ["bash", "-c", "exec " + command if "\n" not in command else command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            cwd=folder,
            env=environment,
            text=True,
            start_new_session=True,
        )
        self.lines, self.seen = [], 0
        self.more = threading.Condition()
        self.reader = threading.Thread(target=self.collect, daemon=True)
        self.reader.start()

    def collect(self):
        for line in self.process.stdout:
            if not line.strip():
                continue
            with self.more:
                self.lines.append(line)
                self.more.notify_all()

    def read(self, count, and_more=False):
        """Returns the next lines: so many, and those that come before a pause if `and_more`."""
        end = time.monotonic() + PATIENCE
        with self.more:
            while len(self.lines) < self.seen + count and self.reader.is_alive() and time.monotonic() < end:
                self.more.wait(0.1)
            while and_more and self.more.wait(PAUSE):
                pass
            lines = self.lines[self.seen :] if and_more else self.lines[self.seen : self.seen + count]
            self.seen += len(lines)
        return "".join(lines)

    def wait(self):
        """Waits for the end of the program. Returns what it printed and nobody has read."""
        self.process.wait(PATIENCE)
        self.reader.join(PATIENCE)
        return self.read(len(self.lines) - self.seen)

    def interrupt(self):
        """Does what Control-C does."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.wait()

    def close(self):
        """Ends the program, if it goes on. Returns its standard error."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.reader.join(PATIENCE)
        self.process.stdout.close()
        with self.errors:
            self.errors.seek(0)
            return self.errors.read()
