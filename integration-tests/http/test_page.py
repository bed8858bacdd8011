"""The page of documentation: what it shows is what the server answers, and it leaves nothing out."""

import contextlib
import io
import json
import re
import shlex
import unittest
import urllib.parse
import urllib.request

import page  # of ../pages

API = page.ROOT / "zk-mini/http/API.md"


def form(path):
    """Returns a path with `*` for each part that varies: `{id}` of a description, `ID` on the page."""
    path = urllib.parse.urlsplit(path).path
    return re.sub(r"/(\{[^}]*\}|[A-Z]+(?=/|$))", "/*", path)


def called(command):
    """Yields the methods and paths that the curls of a command call."""
    words = shlex.split(command, posix=True)
    method = "GET"
    for at, word in enumerate(words):
        if word in ("-X", "--request"):
            method = words[at + 1]
        elif word.startswith(("-T", "--upload-file")):
            method = "PUT"
        elif word in ("--json", "-d") or word.startswith("--data"):
            method = method if "-X" in words else "POST"
        elif match := re.fullmatch(r"(?:http://)?localhost:2181(/\S*)", word):
            path = match.group(1)
    if "curl" in words:
        yield method, urllib.parse.urlsplit(path).path


class Page(unittest.TestCase):
    maxDiff = None

    def test_it_shows_each_call_with_its_answer(self):
        described = []

        def visit(port):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/openapi.json") as answer:
                described.append(json.load(answer)["paths"])

        complaints = io.StringIO()
        with contextlib.redirect_stderr(complaints):
            reader, _ = page.read(API, False, visit)
        self.assertEqual((reader.differences, reader.failures), (0, 0), f"{complaints.getvalue()}\nci/http --write puts the answers into the page")

        calls = {(method.upper(), form(path)) for paths in described for path, methods in paths.items() for method in methods}
        named = {
            (method, form(path)) for method, path in re.findall(r"`(GET|PUT|POST|DELETE) (/v1[^\s`]*)`", API.read_text())
        }
        self.assertEqual(named, calls, "the calls that the page names, and those that the server describes")
        tried = [call for command in reader.commands for line in command.splitlines() for call in called(line)]
        for method, path in sorted(calls):
            pattern = re.escape(path).replace(r"/\*", "/.+")
            self.assertTrue(
                any(method == other and re.fullmatch(pattern, tried_path) for other, tried_path in tried),
                f"the page shows no {method} {path}",
            )


if __name__ == "__main__":
    unittest.main()
