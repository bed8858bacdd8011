"""The program as one file: static, small, for any Linux of this machine's kind, the same bytes wherever it is built."""

import os
import platform
import shutil
import subprocess
from pathlib import Path

from .complaint import Complaint

TRIPLE = f"{platform.machine()}-unknown-linux-musl"
# TLS, with rustls and ring, has raised it from 5 MB.
MAX_BYTES = 7_000_000


def flags(root):
    """Returns the options of rustc, for `RUSTFLAGS`: with others, cargo would build everything again."""
    cargo = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    options = [
        # The linker that comes with Rust: equal functions are kept once, and addresses to relocate take bits, not words.
        "-Clinker=rust-lld",
        "-Clinker-flavor=ld.lld",
        "-Clink-arg=--icf=all",
        "-Clink-arg=--pack-dyn-relocs=relr",
        "-Clink-arg=--no-eh-frame-hdr",
        f"-Clink-arg=--script={root}/ci/packaging/program.ld",
        f"--remap-path-prefix={cargo}=cargo",
        f"--remap-path-prefix={root}=zk-mini",
    ]
    return " ".join(options)


def build(target, root=None):
    """Returns the path of the program, made from the checkout at `root`, or from this one."""
    root = root or Path.cwd()
    command = ["cargo", "build", "--locked", "--profile", "dist", "--target", TRIPLE, "--package", "zk-mini-server"]
    environment = {**os.environ, "RUSTFLAGS": flags(root), "CARGO_TARGET_DIR": str(target)}
    environment.pop("CARGO_ENCODED_RUSTFLAGS", None)
    subprocess.run(command, check=True, cwd=root, env=environment)
    return target / TRIPLE / "dist/zk-mini"


def check_size(program):
    size = program.stat().st_size
    if size >= MAX_BYTES:
        raise Complaint(f"{program} has {size} bytes; fewer than {MAX_BYTES} are wanted")
    print(f"the program: {size} bytes", flush=True)


def check_reproducible(program, target):
    """Builds the program again, from a copy of the checkout in another place."""
    copy = target / "package/copy"
    shutil.rmtree(copy, ignore_errors=True)
    files = subprocess.check_output(["git", "ls-files", "-z"], text=True).split("\0")
    for file in filter(os.path.isfile, files):
        place = copy / "checkout" / file
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)
    again = build(copy / "target", copy / "checkout")
    if again.read_bytes() != program.read_bytes():
        raise Complaint(f"{program} and {again}, built of the same files in two places, differ")
    shutil.rmtree(copy)
    print("the program: the same bytes from two places", flush=True)
