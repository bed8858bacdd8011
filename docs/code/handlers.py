"""Handles one signal, ignores another one, and meets one that cannot be handled."""

import os
import signal

stops = False


def stop(signum, _frame):
    global stops
    stops = True
    print("handling", signal.Signals(signum).name)


signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, signal.SIG_IGN)
try:
    signal.signal(signal.SIGKILL, stop)
except OSError as error:
    print("SIGKILL cannot be handled:", error.strerror)

os.kill(os.getpid(), signal.SIGINT)
print("SIGINT was ignored")

print("working, until SIGTERM comes")
while not stops:
    os.kill(os.getpid(), signal.SIGTERM)
print("stopped")
