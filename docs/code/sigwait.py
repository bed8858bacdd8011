"""Handles signals without a handler: they are blocked, and waited for."""

import os
import signal

wanted = {signal.SIGTERM, signal.SIGHUP}
signal.pthread_sigmask(signal.SIG_BLOCK, wanted)  # before any thread starts

os.kill(os.getpid(), signal.SIGHUP)
os.kill(os.getpid(), signal.SIGTERM)
while True:
    got = signal.sigwait(wanted)
    print("got", got.name)
    if got == signal.SIGTERM:
        break
