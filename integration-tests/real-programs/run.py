"""Runs the programs named on the command line on both servers, and says where they differ. See ci/real-programs."""

import difflib
import importlib
import logging
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from servers import SERVERS, TARGET, Missing, ZkMini
from stage import Stage

CACHE = TARGET / "real-programs"


def notes_of(program, kind, folder):
    """Runs a program on a server of this kind. Returns its notes."""
    folder.mkdir()
    # Some programs refuse to run as root, and have to come into the folder.
    folder.chmod(0o755)
    server = kind(folder / "server")
    try:
        server.start()
        stage = Stage(server, folder)
        try:
            program.run(stage, CACHE)
        finally:
            stage.close()
        return stage.notes
    finally:
        server.stop()


def lines(notes):
    """Yields the notes as lines of text."""
    for what, value in notes:
        yield f"{what}:"
        for item in value if isinstance(value, list) else [value]:
            yield f"    {item}"


def run(name, shows):
    """Runs a program on both. Tells if what was noted is the same."""
    program = importlib.import_module(f"{name}_program")
    ZkMini.program()
    program.install(CACHE)
    folder = Path(tempfile.mkdtemp(prefix="real-programs-"))
    folder.chmod(0o755)
    notes, alike = [], False
    try:
        for kind in SERVERS:
            began = time.monotonic()
            notes.append(list(lines(notes_of(program, kind, folder / kind.name))))
            print(f"{name} on {kind.name}: {len(notes[-1])} lines in {time.monotonic() - began:.1f} s", flush=True)
        alike = notes[0] == notes[1]
    finally:
        if alike:
            shutil.rmtree(folder)
        else:
            print(f"{name}: its logs are in {folder}")
    if shows:
        print("\n".join(notes[1]))
    if not alike:
        print("\n".join(difflib.unified_diff(*notes, *(kind.name for kind in SERVERS), lineterm="")))
    print(f"{name}: {'alike' if alike else 'DIFFERENT'}", flush=True)
    return alike


def main(words):
    """Returns the status: 1 if one differed or failed, 2 if something is missing."""
    # So that every process that was started is ended.
    signal.signal(signal.SIGTERM, lambda *_words: sys.exit(143))
    # Lost connections belong to the stories.
    logging.getLogger("kazoo").setLevel(logging.CRITICAL)
    names = [word for word in words if word != "--show"]
    status = 0
    for name in names:
        try:
            status = max(status, 0 if run(name, "--show" in words) else 1)
        except Missing as missing:
            print(f"{name}: {missing}", file=sys.stderr)
            status = 2
        except (AssertionError, RuntimeError) as failure:
            print(f"{name}: FAILED: {failure}", file=sys.stderr)
            status = max(status, 1)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
