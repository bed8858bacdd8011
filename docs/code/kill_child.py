"""Starts a child, and ends it with a signal."""

import os
import signal

pid = os.fork()
if pid == 0:
    while True:
        signal.pause()  # sleeps until a signal comes

os.kill(pid, 0)  # signal 0 asks only: is there such a process?
print("the child is there", flush=True)

os.kill(pid, signal.SIGTERM)
_, status = os.waitpid(pid, 0)
print("it was ended by", signal.Signals(os.WTERMSIG(status)).name)

try:
    os.kill(pid, 0)
except ProcessLookupError as error:
    print("and now:", error.strerror)
