"""Links of built books: each leads to a file, and to a place in it; and no page needs anything from elsewhere."""

import urllib.parse
from functools import cache
from html.parser import HTMLParser

# What a page loads by itself, in contrast to what a reader follows.
LOADS = {("script", "src"), ("img", "src"), ("iframe", "src"), ("link", "href"), ("source", "src"), ("video", "src")}
MAY_LEAD_TO = ("https://", "http://localhost:2181/", "http://localhost:2181", "mailto:")


class Page(HTMLParser):
    """The links and the places of a page."""

    def __init__(self, file):
        super().__init__()
        self.ids, self.links = set(), []
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name == "id":
                self.ids.add(value)
            elif name in ("href", "src") and value is not None:
                self.links.append((tag, name, value, self.getpos()[0]))


@cache
def page(file):
    return Page(file)


def complaints(root, folder):
    """Yields the broken links of the pages in `folder`, which may lead to others below `root`."""
    for file in sorted(folder.rglob("*.html")):
        for tag, name, link, line in page(file).links:
            reason = broken(root, file, link, (tag, name) in LOADS)
            if reason:
                yield f"{file.relative_to(root)}:{line}: {link}: {reason}"


def broken(root, file, link, loads):
    url = urllib.parse.urlsplit(link)
    if url.scheme or url.netloc:
        if loads:
            return "a page loads nothing from elsewhere"
        return None if link.startswith(MAY_LEAD_TO) else "an address that readers do not have"
    target = (file.parent / urllib.parse.unquote(url.path)).resolve() if url.path else file
    if not target.is_relative_to(root):
        return "leads out of the book"
    if not target.is_file():
        return "no such file"
    place = urllib.parse.unquote(url.fragment)
    if place and target.suffix == ".html" and place not in page(target).ids:
        return "no such place on that page"
    return None
