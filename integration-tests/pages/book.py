#!/usr/bin/env python3
"""Builds the book in both languages, checks it, and does what its pages say.

    book.py                all of it
    book.py PAGE ...       runs only these pages, such as tutorial/signals
    book.py --write ...    puts what the commands print into the English pages, and the blocks of those into the Chinese ones
    book.py --no-run       only builds and checks

mdBook may not warn; links and their anchors lead somewhere; both languages have the same chapters and, on each page, the same
blocks, so those of the English page are run for both.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import links
from page import BLOCK, INCLUDE, ROOT, read

DOCS = ROOT / "docs"
LANGUAGES = ("en", "zh")
CHAPTER = re.compile(r"^( *)(?:- )?\[[^\]]*\]\(([^)]*)\)", re.M)
PART = re.compile(r"^# ", re.M)
# Blocks that need not run, of ten.
SHOWN_ONLY = 1


def build(language, target):
    command = ["mdbook", "build", str(DOCS / language), "--dest-dir", str(target / language)]
    ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said = re.sub(r"\x1b\[[0-9;]*m", "", ended.stdout)
    if ended.returncode or re.search(r"^\s*(WARN|ERROR)\b", said, re.M):
        yield f"mdbook build docs/{language}:\n{said}"


def build_playground(target):
    """Puts the page that the chapter about the playground leads to into the books."""
    if subprocess.run([sys.executable, str(DOCS / "playground/build.py"), str(target)]).returncode:
        yield "the playground cannot be built: see above"


def chapters(language):
    """Returns the depth and the file of each chapter."""
    summary = (DOCS / language / "src/SUMMARY.md").read_text(encoding="utf-8")
    return [(len(indent), file) for indent, file in CHAPTER.findall(summary)], len(PART.findall(summary))


def unlisted(language):
    source = DOCS / language / "src"
    listed = {file for _, file in chapters(language)[0]} | {"SUMMARY.md"}
    for file in sorted(source.rglob("*.md")):
        if (name := file.relative_to(source).as_posix()) not in listed:
            yield f"docs/{language}/src/{name}: not in SUMMARY.md"


def blocks(text):
    """Returns the blocks that must be the same in all languages."""
    return [block for block in BLOCK.finditer(text) if block["language"] != "text"]


def without_reason(page, text):
    """Yields the blocks that cannot run and do not say why."""
    for block in BLOCK.finditer(text):
        is_run = block["language"] == "console" or block["name"] or INCLUDE.fullmatch(block["body"])
        if not is_run and block["language"] != "text" and not block["reason"]:
            line = text.count("\n", 0, block.start()) + 1
            yield f"{page}:{line}: a block that cannot run: name its file, or say why: <!-- not run: REASON -->"


def same_blocks(name, writes):
    """Compares the blocks of a page in both languages, or makes them the same."""
    files = [DOCS / language / "src" / name for language in LANGUAGES]
    texts = [file.read_text(encoding="utf-8") for file in files]
    english, chinese = map(blocks, texts)
    if len(english) != len(chinese):
        yield f"{name}: {len(english)} blocks in English, {len(chinese)} in Chinese"
        return
    written, end = [], 0
    for one, other in zip(english, chinese):
        if [one[part] for part in ("language", "name")] != [other[part] for part in ("language", "name")]:
            line = texts[1].count("\n", 0, other.start()) + 1
            yield f"docs/zh/src/{name}:{line}: a block of another kind or name than the English one"
            return
        written += [texts[1][end : other.start("body")], one["body"]]
        end = other.end("body")
        if one["body"] != other["body"] and not writes:
            line = texts[1].count("\n", 0, other.start()) + 1
            yield f"docs/zh/src/{name}:{line}: not the English block; ci/book --write makes it so"
    if writes:
        files[1].write_text("".join([*written, texts[1][end:]]), encoding="utf-8")


def checked(names, writes):
    """Yields what is wrong with the pages as they are."""
    english, chinese = map(chapters, LANGUAGES)
    if english != chinese:
        yield f"the chapters differ:\n  docs/en/src/SUMMARY.md {english}\n  docs/zh/src/SUMMARY.md {chinese}"
        return
    total, shown = 0, 0
    for name in names:
        yield from same_blocks(name, writes)
        text = (DOCS / "en/src" / name).read_text(encoding="utf-8")
        yield from without_reason(f"docs/en/src/{name}", text)
        total += len(blocks(text))
        shown += sum(bool(block["reason"]) for block in blocks(text))
    if shown * 10 > max(total, 10) * SHOWN_ONLY:
        yield f"{shown} of {total} blocks are not run: at most one in ten"
    print(f"{len(names)} pages, {total} blocks, {shown} of them not run")


def run(name, writes):
    """Does what a page says. Returns whether all went as it shows."""
    file = DOCS / "en/src" / name
    begin = time.monotonic()
    reader, written = read(file, writes)
    if writes:
        file.write_text(written, encoding="utf-8")
    if reader.commands:
        counts = f"{len(reader.commands)} commands ran, {reader.failures} failed"
        differ = f"{reader.differences} answers {'written' if writes else 'differ'}"
        print(f"{name}: {counts}, {differ}; {time.monotonic() - begin:.1f} s", flush=True)
    return not reader.failures and (writes or not reader.differences)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="*", metavar="PAGE")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--no-run", action="store_true")
    options = parser.parse_args()

    every = [file for _, file in chapters("en")[0]]
    wanted = [page.removesuffix(".md") + ".md" for page in options.pages] or every
    if unknown := sorted(set(wanted) - set(every)):
        sys.exit(f"book: no page {', '.join(unknown)} in docs/en/src/SUMMARY.md")

    failed = [] if options.no_run else [name for name in wanted if not run(name, options.write)]
    complaints = list(checked(every, options.write))
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve() / "book"
    for language in LANGUAGES:
        complaints += [*unlisted(language), *build(language, target)]
    complaints += build_playground(target)
    for language in LANGUAGES:
        complaints += links.complaints(target, target / language)
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    if failed or complaints:
        sys.exit(f"book: {len(complaints)} complaints, {len(failed)} pages that do not do what they show")
    print(f"{target}: built, and every link leads somewhere")


if __name__ == "__main__":
    main()
