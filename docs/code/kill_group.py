"""Ends a child together with what the child has started: a process group."""

import os
import signal

read_end, write_end = os.pipe()
pid = os.fork()
if pid == 0:
    os.setpgid(0, 0)  # a group of its own, named by its pid
    os.close(read_end)
    os.fork()  # the grandchild is in the group, too
    os.write(write_end, b".")
    while True:
        signal.pause()

os.close(write_end)
ready = b""
while len(ready) < 2:
    ready += os.read(read_end, 2)
print("a child and its child are ready", flush=True)

os.killpg(pid, signal.SIGTERM)
os.waitpid(pid, 0)
# The pipe ends when nobody holds its other end: all of them are gone.
if os.read(read_end, 1) == b"":
    print("nobody is left")
