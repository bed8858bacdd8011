"""Rules about names and about English."""

import re
from collections import defaultdict

# Names that say nothing about the thing: each at most once in the workspace.
VAGUE = ("Connection", "Outcome", "State", "Place")
TYPE = re.compile(rf"\b(?:struct|enum|union|trait|type)\s+({'|'.join(VAGUE)})\b(?!\s*:)")

OPENERS = re.compile(r"(What|Whether|How|Who|Where|When|As)\b")
OPENERS_PERCENT = 5
DOC_COMMENT = re.compile(r"^[ \t]*(//[/!])(?!/)")


def names_are_exact(house):
    """No two types have one of the vague names, and no file is a manager."""
    places = defaultdict(list)
    for name, code in house.code.items():
        if name.endswith("/manager.rs"):
            yield f"{name}: name it for its job"
        for match in TYPE.finditer(code):
            places[match.group(1)].append(f"{name}:{code.count(chr(10), 0, match.start()) + 1}")
    for vague, found in places.items():
        if len(found) > 1:
            yield f"{', '.join(found)}: types named {vague}; name each for what it is of"


def doc_comments(text):
    """Yields the line and the first line of text of each doc comment: a run of `///` lines, or of `//!` lines."""
    before = None
    pending = None
    for number, line in enumerate(text.splitlines(), 1):
        match = DOC_COMMENT.match(line)
        marker = match and match.group(1)
        if marker != before:
            if pending:
                yield pending, ""
            pending = number if marker else None
        before = marker
        words = line[match.end() :].strip() if marker else ""
        if pending and words:
            yield pending, words
            pending = None
    if pending:
        yield pending, ""


def openers(house):
    """Returns the number of doc comments, and the places of those that open with a question word."""
    comments, places = 0, []
    for name, text in house.rust.items():
        for number, words in doc_comments(text):
            comments += 1
            if OPENERS.match(words):
                places.append(f"{name}:{number}: {words[:60]}")
    return comments, places


def doc_comments_open_with_a_noun_or_verb(house):
    """At most one doc comment in twenty opens with What, Whether, How, Who, Where, When or As."""
    comments, places = openers(house)
    if len(places) * 100 > comments * OPENERS_PERCENT:
        share = len(places) * 100 / comments
        yield f"{share:.1f} % of {comments} doc comments open with a question word; at most {OPENERS_PERCENT} %:"
        yield from places


# A sentence in code spans: long enough not to be a command or a field.
TEST_NAME = re.compile(r"`([a-z0-9]+(?:_[a-z0-9]+){3,})`")


def named_tests_exist(house):
    """Each test that the book names, a sentence in snake case, is a function of the project."""
    functions = {name for code in house.code.values() for name in re.findall(r"\bfn (\w+)", code)}
    for name in house.files:
        if name.startswith("docs/") and name.endswith(".md"):
            text = house.text(name)
            for match in TEST_NAME.finditer(text):
                if match.group(1) not in functions:
                    line = text.count("\n", 0, match.start()) + 1
                    yield f"{name}:{line}: no test is named {match.group(1)}"
