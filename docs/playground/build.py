#!/usr/bin/env python3
"""Makes the playground of the book: one file a language, with the server's core as WebAssembly in it.

    build.py DIRECTORY       writes en/try.html and zh/try.html below it

The look is that of the server's page: its colours and controls are included from there.
"""

import base64
import gzip
import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PAGE = ROOT / "zk-mini/http/src/page"
TARGET = "wasm32-unknown-unknown"
# Bytes. Beyond it, something has come into the core that a page does not need.
MAX_CORE = 650_000

LANGUAGES = {
    "en": ("en", "zk-mini: playground", "The playground needs JavaScript."),
    "zh": ("zh-CN", "zk-mini：演练场", "演练场需要 JavaScript。"),
}
# In this order: a module comes after those that it imports.
MODULES = [PAGE / "dom.js", PAGE / "format.js", HERE / "page/core.js", HERE / "page/words.js", HERE / "page/main.js"]
IMPORT = re.compile(r"^import \{[^}]*\} from '[^']*';\n", re.M)
# Parts of the page's style sheet that the playground shares: all before its first section, and these.
SHARED = ("Words and controls",)


def core():
    """Returns the core, compiled."""
    # Not in the crate's manifest: not every system that the workspace is compiled for has this kind of library.
    command = ["cargo", "rustc", "--quiet", "--locked", "--package", "playground", "--lib", "--crate-type", "cdylib"]
    command += ["--profile", "playground", "--target", TARGET]
    try:
        subprocess.run(command, cwd=ROOT, check=True)
    except subprocess.CalledProcessError:
        sys.exit(f"playground: cannot be compiled, see above; if the target is missing, ci/setup installs it (rustup target add {TARGET})")
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    wasm = (ROOT / target / TARGET / "playground/playground.wasm").read_bytes()
    if len(wasm) > MAX_CORE:
        sys.exit(f"playground: the core has {len(wasm)} bytes; at most {MAX_CORE}")
    return wasm


def style():
    text = (PAGE / "page.css").read_text(encoding="utf-8")
    before, *sections = re.split(r"^/\* ([^*]+) \*/\n", text.split("*/\n", 1)[1], flags=re.M)
    named = dict(zip(sections[::2], sections[1::2]))
    if missing := [name for name in SHARED if name not in named]:
        sys.exit(f"playground: {PAGE}/page.css has no section {', '.join(missing)}: adapt SHARED in {__file__}")
    # The page fills its window and does not scroll; the playground does.
    shared = re.sub(r"^body \{.*?^\}\n", "", before, flags=re.M | re.S)
    return "".join([shared, *(named[name] for name in SHARED), (HERE / "page/playground.css").read_text(encoding="utf-8")])


def script():
    """Returns the modules as one."""
    texts = [module.read_text(encoding="utf-8") for module in MODULES]
    return "".join(re.sub(r"^export ", "", IMPORT.sub("", text), flags=re.M) for text in texts)


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    wasm = core()
    parts = {"style": style(), "script": script(), "core": base64.b64encode(gzip.compress(wasm, 9, mtime=0)).decode()}
    template = (HERE / "page/index.html").read_text(encoding="utf-8")
    for folder, (language, title, noscript) in LANGUAGES.items():
        values = {**parts, "language": language, "title": title, "noscript": noscript}
        page = re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], template)
        file = Path(sys.argv[1]) / folder / "try.html"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(page, encoding="utf-8")
    print(f"playground: {len(wasm)} bytes of WebAssembly, a page of {file.stat().st_size} bytes")


if __name__ == "__main__":
    main()
