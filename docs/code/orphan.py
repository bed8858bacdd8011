"""A parent is killed, and could not say goodbye: its child hears of it twice, from the kernel and by the end of a pipe."""

import ctypes
import os
import signal

libc = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36

libc.prctl(PR_SET_CHILD_SUBREAPER, 1)  # orphans below this process become its children, as those of others become init's
from_child, to_us = os.pipe()

parent = os.fork()
if parent == 0:
    alive, _held = os.pipe()  # nobody writes; it ends with the last holder of its other end
    parent_pid = os.getpid()
    if os.fork() == 0:
        os.close(_held)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent_pid:
            os._exit(1)  # it died before the call above, which came too late
        os.write(to_us, b"ready")
        ended = os.read(alive, 1) == b""
        got = signal.sigwait({signal.SIGTERM})
        os.write(to_us, f"the pipe ended: {ended}; the kernel sent {got.name}".encode())
        os._exit(0)
    while True:
        signal.pause()

os.close(to_us)
os.read(from_child, 5)
os.kill(parent, signal.SIGKILL)
os.waitpid(parent, 0)
print("the parent was killed")
print("its child says:", os.read(from_child, 100).decode())
_, status = os.waitpid(-1, 0)
print("the orphan is reaped, status", os.waitstatus_to_exitcode(status))
