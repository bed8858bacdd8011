"""Waits for input while signals come: what does a read do that is interrupted?"""

import errno
import os
import signal
import time

signals = 0
read_end, write_end = os.pipe()


def answer_the_third(_signum, _frame):
    global signals
    signals += 1
    if signals == 3:
        os.write(write_end, b"hello")


def give_up(_signum, _frame):
    raise TimeoutError("the handler gave up")


signal.signal(signal.SIGUSR1, answer_the_third)
child = os.fork()
if child == 0:
    while True:
        os.kill(os.getppid(), signal.SIGUSR1)
        time.sleep(0.01)

# In C the call would have failed at the first signal. Python calls the handler, and then reads again: PEP 475.
data = os.read(read_end, 5)
print("three signals, one read:", data.decode() if signals >= 3 else "too early")

signal.signal(signal.SIGUSR1, give_up)
try:
    os.read(read_end, 5)
except TimeoutError as error:
    # An exception in a handler is the way out of a call that waits.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    print("the read ended:", error)

os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
try:
    os.waitpid(child, 0)
except OSError as error:
    print(errno.errorcode[error.errno], "means:", os.strerror(error.errno))
