#!/usr/bin/env python3
"""Runs the shell blocks of a page in order, as a reader would, and compares what they print with what the page shows.

    page.py PAGE            says where they differ
    page.py --write PAGE    puts what they print into the page, and the ids that stand in it into the commands

The blocks of the page:

    ```console           commands behind `$ ` (`> ` continues one), each with its answer below it
    ```console NAME      the same in a terminal of its own, where a program may go on; without a command: what it printed since;
                         `^C` ends it
    ```LANGUAGE FILE     a file, which the commands find
    ```text              something to read: what a program wrote elsewhere, a drawing

A block of another form is only shown; it needs a line before it that says why: `<!-- not run: REASON -->`. A page with a line
`<!-- folder: DIR -->` begins in a copy of that folder of the project, any other page in an empty one. A block that includes a file
of that folder is that file.

A port is free, so `zk-mini serve` gets one in place of 2181, which ZK_HOSTS names to the commands of zk-mini; `cargo run -q --bin NAME` starts the NAME that has been built. JSON may
be laid out in any way. Times are compared by their form; the ids of sessions and the addresses of clients too, but one on the page
always stands for the same one in the answers.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from answers import Names, answer_of, differs
from terminal import PATIENCE, Terminal

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^(?:<!-- not run: (?P<reason>.+) -->\n+)?```(?P<language>\w*)(?: (?P<name>\S+))?\n(?P<body>.*?)^```$", re.M | re.S)
FOLDER = re.compile(r"^<!-- folder: (\S+) -->$", re.M)
INCLUDE = re.compile(r"\{\{#include ([^}:]+)[^}]*\}\}\n")
SERVE = "zk-mini serve"
CARGO_RUN = re.compile(r"\bcargo run -q --bin (\w+)( --(?= ))?")


class Reader:
    """Does what the page says."""

    def __init__(self, folder, writes, visit):
        self.folder, self.writes, self.visit = folder, writes, visit
        self.terminals, self.names = {}, Names()
        self.commands, self.differences, self.failures = [], 0, 0
        bins = [str(Path(os.environ["ZK_MINI"]).parent), str(Path(sys.executable).parent)]
        self.environment = {**os.environ, "PATH": ":".join([*bins, os.environ["PATH"]]), "PYTHONUNBUFFERED": "1"}

    def block(self, language, name, text, line):
        """Returns the block with the answers that came."""
        if language != "console":
            if name and not INCLUDE.fullmatch(text):
                file = self.folder / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(self.names.actual(text))
            return text
        written = []
        for command, shown in steps(text):
            answer = self.step(f"line {line}: {command or name}", command, shown, name)
            written.append(source_of(self.written(command)) + answer)
            line += len(source_of(command).splitlines()) + len(shown)
        return "".join(written)

    def step(self, what, command, shown, name):
        """Runs a command, or reads on in a terminal. Returns the text for the page."""
        try:
            printed = self.in_terminal(name, command, shown) if name else self.run(command)
        except (OSError, subprocess.SubprocessError, AssertionError) as error:
            self.failures += 1
            print(f"{what}: {error}", file=sys.stderr)
            return "".join(line + "\n" for line in shown)
        reason = differs("\n".join(shown), printed, self.names)
        answer = answer_of(self.names.with_port_of_page(printed))
        if reason:
            self.differences += 1
        if reason and not self.writes:
            print(f"{what}: {reason}\n{answer}", file=sys.stderr)
        return answer and answer + "\n"

    def written(self, command):
        """Returns a command for the page, with the names of the answers that are written to it."""
        return command and self.names.with_port_of_page(self.names.actual(command))

    def actual(self, command):
        return CARGO_RUN.sub(r"\1", self.names.actual(command))

    def run(self, command):
        self.commands.append(command)
        shell = ["bash", "-c", self.actual(command)]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        ended = subprocess.run(shell, **pipes, cwd=self.folder, env=self.environment, timeout=PATIENCE)
        if ended.returncode:
            raise AssertionError(f"status {ended.returncode}: {ended.stderr.decode(errors='replace')}")
        return ended.stdout.decode()

    def in_terminal(self, name, command, shown):
        terminal = self.terminals.get(name)
        if command == "^C":
            return terminal.interrupt()
        if command is None:
            return terminal.read(len(shown), self.writes)
        if terminal:
            terminal.wait()
            terminal.close()
        begins = command.startswith(SERVE)
        actual = self.actual(command) + (" --port 0" if begins else "")
        terminal = self.terminals[name] = Terminal(actual, self.folder, self.environment)
        self.commands.append(command)
        printed = terminal.read(len(shown), self.writes)
        if begins:
            port = re.search(r"listening on \S+:(\d+)", printed)
            if not port:
                raise AssertionError(f"it does not listen: {printed}{terminal.close()}")
            self.names.serves(port.group(1))
            self.environment["ZK_HOSTS"] = f"127.0.0.1:{port.group(1)}"
            self.visit(int(port.group(1)))
        return printed

    def close(self):
        for terminal in self.terminals.values():
            terminal.close()


def steps(text):
    """Yields each command of a block, or `None`, with the lines that are shown below it."""
    command, shown = None, []
    for line in text.splitlines():
        if line.startswith("$ ") or line == "^C":
            if command or shown:
                yield command, shown
            command, shown = line.removeprefix("$ "), []
        elif line.startswith("> ") and command and not shown:
            command += "\n" + line.removeprefix("> ")
        else:
            shown.append(line)
    if command or shown or not text:
        yield command, shown


def source_of(command):
    """Returns the lines of a command on the page."""
    if command is None:
        return ""
    return "^C\n" if command == "^C" else "$ " + command.replace("\n", "\n> ") + "\n"


def read(page, writes, visit=lambda port: None):
    """Runs the blocks of a page. Returns the reader that did, and the page as it should be."""
    text = page.read_text()
    written, end = [], 0
    with tempfile.TemporaryDirectory() as folder:
        for source in FOLDER.findall(text):
            shutil.copytree(ROOT / source, folder, dirs_exist_ok=True)
        reader = Reader(Path(folder), writes, visit)
        try:
            for block in BLOCK.finditer(text):
                if block["reason"]:
                    continue
                line = text.count("\n", 0, block.start("body")) + 1
                body = reader.block(block["language"], block["name"], block["body"], line)
                written += [text[end : block.start("body")], body]
                end = block.end("body")
        finally:
            reader.close()
    return reader, "".join([*written, text[end:]])


def main():
    arguments = sys.argv[1:]
    writes = "--write" in arguments
    pages = [Path(argument) for argument in arguments if argument != "--write"]
    if {"--help", "-h"} & set(arguments) or not pages:
        print(__doc__.strip())
        return
    os.environ.setdefault("ZK_MINI", str(ROOT / "target/debug/zk-mini"))
    for page in pages:
        reader, written = read(page, writes)
        if writes:
            page.write_text(written)
        counts = f"{len(reader.commands)} commands ran, {reader.failures} failed"
        print(f"{page}: {counts}, {reader.differences} answers {'written' if writes else 'differ'}")
        if reader.failures or reader.differences and not writes:
            sys.exit(1)


if __name__ == "__main__":
    main()
