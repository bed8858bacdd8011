"""A parent that is asked to stop: it stops its children, waits for them, kills those that do not listen, and reaps them all."""

import os
import signal

GRACE_SECONDS = 1
wanted = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGALRM}
signal.pthread_sigmask(signal.SIG_BLOCK, wanted)  # before the first fork: from here on no signal is lost

children = {}
for number in range(3):
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # ^C goes to the whole group; the parent tells its children
        if number != 2:  # the last one stays deaf
            signal.pthread_sigmask(signal.SIG_UNBLOCK, wanted)
        while True:
            signal.pause()
    children[pid] = number
print("three children run", flush=True)

while (got := signal.sigwait(wanted)) not in (signal.SIGTERM, signal.SIGINT):
    pass
print("stopping", flush=True)
for pid in children:
    os.kill(pid, signal.SIGTERM)
signal.alarm(GRACE_SECONDS)  # the deadline is a signal, too

ended = {}
while children:
    if signal.sigwait(wanted) == signal.SIGALRM:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            break
        ended[children.pop(pid)] = signal.Signals(os.WTERMSIG(status)).name
for number, name in sorted(ended.items()):
    print(f"child {number} was ended by {name}")
