"""The program for aarch64, which is compiled without a C compiler, and so without TLS, and run under qemu."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from .complaint import Complaint, needed
from .empty_root import serves
from .process import Server

TARGET = "aarch64-unknown-linux-musl"


def build(target):
    """Returns the path of the program: without optimisation, as it only has to run."""
    if not Path(output("rustc", "--print", "target-libdir", "--target", TARGET)).exists():
        raise Complaint(f"Rust's target {TARGET} is missing: rustup target add {TARGET}")
    env = os.environ | {
        # Rust has a linker for every system; a C compiler for this one may not be there.
        "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER": "rust-lld",
        "CARGO_PROFILE_DEV_DEBUG": "0",
        "CARGO_INCREMENTAL": "0",
    }
    command = ["cargo", "build", "--locked", "--target", TARGET, "--package", "zk-mini-server", "--no-default-features"]
    subprocess.run(command, check=True, env=env)
    return target / TARGET / "debug/zk-mini"


def output(*command):
    return subprocess.check_output(command, text=True).strip()


def check(target):
    qemu = needed("qemu-aarch64-static", "qemu-user-static")
    program = build(target)
    with tempfile.TemporaryDirectory() as root:
        shutil.copy(qemu, Path(root, "qemu"))
        shutil.copy(program, Path(root, "zk-mini"))
        command = ["/qemu", "/zk-mini", "serve", "--listen", "127.0.0.1:0", "--data-dir", "/data"]
        for path in [b"/a", b"/b"]:
            with Server(root, command) as server:
                serves(server, path)
    print(f"{TARGET}: serves under qemu", flush=True)
