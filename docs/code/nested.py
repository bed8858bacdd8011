"""A signal interrupts the handler of another one, and a handler meets itself."""

import os
import signal

depth = 0


def say(what):
    print("  " * depth + what)


def handle(signum, _frame):
    global depth
    name = signal.Signals(signum).name
    say(f"{name} begins")
    depth += 1
    if send := to_send.pop(signum, None):
        os.kill(os.getpid(), send)
    depth -= 1
    say(f"{name} ends")


signal.signal(signal.SIGUSR1, handle)
signal.signal(signal.SIGUSR2, handle)

print("another signal, inside a handler:")
to_send = {signal.SIGUSR1: signal.SIGUSR2}
os.kill(os.getpid(), signal.SIGUSR1)

print("the same signal:")
to_send = {signal.SIGUSR1: signal.SIGUSR1}
os.kill(os.getpid(), signal.SIGUSR1)
