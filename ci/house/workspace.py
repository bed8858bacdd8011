"""The files and packages of a workspace, as the rules see them."""

import json
import re
import subprocess
from functools import cached_property
from pathlib import Path

from .design import Design
from .modules import Modules


class House:
    """The workspace at `root`, and the design that it should have."""

    def __init__(self, root, design=None):
        self.root = Path(root)
        self.design = design or Design()
        listing = self.run("git", "ls-files", "--cached", "--others", "--exclude-standard")
        self.files = sorted(name for name in set(listing.splitlines()) if (self.root / name).is_file())
        self.rust = {name: self.text(name) for name in self.files if name.endswith(".rs")}
        self.code = {name: without_comments_and_strings(text) for name, text in self.rust.items()}
        metadata = json.loads(self.run("cargo", "metadata", "--no-deps", "--offline", "--format-version", "1"))
        self.packages = {package["name"]: package for package in metadata["packages"]}

    def run(self, *command):
        return subprocess.run(command, cwd=self.root, check=True, stdout=subprocess.PIPE, text=True).stdout

    def text(self, name):
        return (self.root / name).read_text(encoding="utf-8")

    def relative(self, path):
        return Path(path).relative_to(self.root.resolve()).as_posix()

    def found(self, pattern, texts, under=""):
        """Places (`file:line`) where a pattern matches."""
        for name, text in texts.items():
            if name.startswith(under):
                for match in re.finditer(pattern, text):
                    yield place(name, text, match.start())

    @cached_property
    def modules(self):
        """The modules of each package's library, or of its program if it has none; without tests."""
        found = {}
        for name, package in self.packages.items():
            roots = {kind: self.relative(target["src_path"]) for target in package["targets"] for kind in target["kind"]}
            root = roots.get("lib") or roots.get("bin")
            if root:
                found[name] = Modules(root, self.code)
        return found


def place(name, text, at):
    return f"{name}:{text.count(chr(10), 0, at) + 1}"


def without_comments_and_strings(text):
    """Returns the same text, line by line, without comments and without the insides of strings."""
    token = re.compile(
        r"""//[^\n]*|/\*.*?\*/|b?r(?P<hashes>\#*)".*?"(?P=hashes)|"(?:\\.|[^"\\])*"|'(?:\\[^\n]{1,10}?|[^'\\\n])'""",
        re.DOTALL,
    )
    return token.sub(lambda match: '""' + "\n" * match.group().count("\n"), text)
