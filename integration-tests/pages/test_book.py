"""Checks of the book: each complains of what it is there for."""

import contextlib
import io
import tempfile
import unittest
from pathlib import Path
from unittest.mock import patch

import book
import links
import page

PAGE = """# A page

```console
$ echo {}
one
```
"""


class Book(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name).resolve()

    def write(self, name, text):
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    def broken(self, html):
        self.write("en/b.html", '<h2 id="place">B</h2>')
        self.write("zh/b.html", "<p>B</p>")
        self.write("en/a.html", html)
        links.page.cache_clear()
        return list(links.complaints(self.root, self.root / "en"))

    def test_a_link_leads_to_a_place(self):
        sound = '<p id="here"><a href="b.html#place"></a><a href="#here"></a><a href="../zh/b.html"></a><a href="https://a.b/"></a></p>'
        self.assertEqual(self.broken(sound), [])
        for link in ("c.html", "b.html#elsewhere", "#elsewhere", "../../a.html", "http://a.b/", "file:///a"):
            self.assertEqual(len(self.broken(f'\n<a href="{link}">A</a>')), 1, link)
        for load in ('<script src="https://a.b/c.js">', '<img src="//a.b/c.png">', '<link href="https://a.b/c.css">', '<img src="c.png">'):
            self.assertEqual(len(self.broken(load)), 1, load)

    def test_what_a_page_shows_is_what_its_commands_print(self):
        for printed, is_right in (("one", True), ("two", False)):
            with contextlib.redirect_stderr(io.StringIO()):
                reader, written = page.read(self.write("page.md", PAGE.format(printed)), False)
            self.assertEqual((reader.differences == 0, len(reader.commands)), (is_right, 1))
            self.assertEqual(written, PAGE.format(printed).replace("\none", f"\n{printed}"))

    def test_a_block_runs_or_says_why_not(self):
        block = "```java{}\nA\n```\n"
        self.assertEqual(len(list(book.without_reason("page", block.format("")))), 1)
        for sound in (block.format(" A.java"), "<!-- not run: needs two machines -->\n" + block.format(""), "```text\nA\n```\n"):
            self.assertEqual(list(book.without_reason("page", sound)), [], sound)

    def test_both_languages_have_the_same_blocks(self):
        english = self.write("en/src/a.md", PAGE.format("one") + "```text\nEnglish\n```\n")
        chinese = self.write("zh/src/a.md", "第一\n" + PAGE.format("two"))
        with patch.object(book, "DOCS", self.root):
            self.assertEqual(len(list(book.same_blocks("a.md", False))), 1)
            self.assertEqual(list(book.same_blocks("a.md", True)), [])
            self.assertEqual(list(book.same_blocks("a.md", False)), [])
            self.assertEqual(chinese.read_text(), "第一\n" + PAGE.format("one"))
            chinese.write_text("第一\n")
            self.assertEqual(len(list(book.same_blocks("a.md", True))), 1)
            self.assertIn("English", english.read_text())

    def test_both_languages_have_the_same_chapters(self):
        self.write("en/src/SUMMARY.md", "# Summary\n\n[A](a.md)\n\n- [B](b/c.md)\n    - [C](c.md)\n")
        self.write("zh/src/SUMMARY.md", "# 目录\n\n[甲](a.md)\n\n- [乙](b/c.md)\n- [丙](c.md)\n")
        self.write("zh/src/d.md", "# 丁\n")
        with patch.object(book, "DOCS", self.root):
            self.assertEqual(book.chapters("en"), ([(0, "a.md"), (0, "b/c.md"), (4, "c.md")], 1))
            self.assertIn("the chapters differ", next(book.checked([], False)))
            self.assertEqual(len(list(book.unlisted("zh"))), 1)


if __name__ == "__main__":
    unittest.main()
