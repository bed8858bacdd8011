"""The program as one file: static, small, for any Linux of this machine's kind, the same bytes wherever it is built."""

import json
import os
import platform
import shutil
import subprocess
from pathlib import Path

from .complaint import Complaint

TRIPLE = f"{platform.machine()}-unknown-linux-musl"
# TLS, with rustls and ring, has raised it from 5 MB.
MAX_BYTES = 7_000_000


def flags():
    """Returns the options of rustc, for `RUSTFLAGS`: with others, cargo would build everything again.

    They name no checkout: rustc runs at its root, and knows our own files by the path from there.
    """
    cargo = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    options = [
        # The linker that comes with Rust: equal functions are kept once, and addresses to relocate take bits, not words.
        "-Clinker=rust-lld",
        "-Clinker-flavor=ld.lld",
        "-Clink-arg=--icf=all",
        "-Clink-arg=--pack-dyn-relocs=relr",
        "-Clink-arg=--no-eh-frame-hdr",
        "-Clink-arg=--script=ci/packaging/program.ld",
        f"--remap-path-prefix={cargo}=cargo",
    ]
    return " ".join(options)


def build(target):
    """Returns the path of the program."""
    run_cargo(target, Path.cwd())
    return target / TRIPLE / "dist/zk-mini"


def run_cargo(target, root):
    """Builds the program of the checkout at `root`; returns what cargo says of each crate."""
    command = ["cargo", "build", "--locked", "--profile", "dist", "--target", TRIPLE, "--package", "zk-mini-server"]
    environment = {**os.environ, "RUSTFLAGS": flags(), "CARGO_TARGET_DIR": str(target)}
    environment.pop("CARGO_ENCODED_RUSTFLAGS", None)
    command += ["--message-format", "json-render-diagnostics"]
    output = subprocess.run(command, check=True, cwd=root, env=environment, stdout=subprocess.PIPE, text=True).stdout
    return [json.loads(line) for line in output.splitlines()]


def check_size(program):
    size = program.stat().st_size
    if size >= MAX_BYTES:
        raise Complaint(f"{program} has {size} bytes; fewer than {MAX_BYTES} are wanted")
    print(f"the program: {size} bytes", flush=True)


def check_reproducible(program, target):
    """Builds the program again, from a copy of the checkout in another place; the crates of others are from the same place for both."""
    first = program.read_bytes()
    copy = target / "package/copy"
    shutil.rmtree(copy, ignore_errors=True)
    files = subprocess.check_output(["git", "ls-files", "-z"], text=True).split("\0")
    for file in filter(os.path.isfile, files):
        place = copy / "checkout" / file
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)
    # In the same target directory, for the crates of others. Our own are dirty there, because the copies are newer than the program.
    messages = run_cargo(target, copy / "checkout")
    stale = [m["target"]["name"] for m in messages if m.get("fresh") and m["package_id"].startswith("path+")]
    if stale:
        raise Complaint(f"{', '.join(stale)} should have been built again, from {copy}")
    again = target / TRIPLE / "dist/zk-mini"
    if again.read_bytes() != first:
        raise Complaint(f"{again} is of {copy} now, and the program of this checkout, built of the same files, had other bytes")
    shutil.rmtree(copy)
    print("the program: the same bytes from two places", flush=True)
