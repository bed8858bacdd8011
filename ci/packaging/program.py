"""The program as one file: static, for any Linux of this machine's kind."""

import platform
import subprocess


def build(target):
    """Returns the path of the program."""
    triple = f"{platform.machine()}-unknown-linux-musl"
    command = ["cargo", "build", "--locked", "--profile", "dist", "--target", triple, "--package", "zk-mini-server"]
    subprocess.run(command, check=True)
    return target / triple / "dist/zk-mini"
