"""Five children end at once: five zombies, one signal, and a loop that reaps them all."""

import os
import signal

deliveries = 0


def count(_signum, _frame):
    global deliveries
    deliveries += 1


def state(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0]


signal.signal(signal.SIGCHLD, count)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
children = {}
for number in range(5):
    pid = os.fork()
    if pid == 0:
        os._exit(number)
    children[pid] = number

for pid in children:
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # waits for its end, and leaves it unreaped
print("states:", *[state(pid) for pid in children])

signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
print("signals:", deliveries)

reaped = []
while True:
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        break  # no child is left
    if pid == 0:
        break  # those that are left are running
    reaped.append(os.waitstatus_to_exitcode(status))
print("reaped:", *sorted(reaped))
