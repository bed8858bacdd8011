"""Compares the outcome of kazoo's test suite (JUnit XML) with the list of exceptions; standard library only.

usage: check.py EXCEPTIONS.txt RESULTS.xml...
       check.py --failed RESULTS.xml...        prints the tests that failed

Of a test that ran more than once, the outcome in the last file counts.
"""

import sys
import xml.etree.ElementTree as ElementTree

# Minimum number of tests; kazoo 2.11 has 493.
LEAST_TESTS = 450


def outcomes(paths):
    """Returns "passed", "failed" or "skipped" by test."""
    found = {}
    for path in paths:
        for case in ElementTree.parse(path).iter("testcase"):
            test = case.get("classname").rpartition("kazoo.tests.")[2] + "::" + case.get("name")
            bad = case.find("failure") is not None or case.find("error") is not None
            skipped = case.find("skipped") is not None
            found[test] = "failed" if bad else "skipped" if skipped else "passed"
    return found


def exceptions(path):
    """Returns "fails" or "skips" by test."""
    lines = (line.split(maxsplit=2) for line in open(path, encoding="utf-8"))
    return {line[1]: line[0] for line in lines if line and not line[0].startswith("#")}


def problems(found, listed):
    """Yields one line for each problem."""
    if len(found) < LEAST_TESTS:
        yield f"only {len(found)} tests ran"
    for test, outcome in sorted(found.items()):
        expected = {None: "passed", "fails": "failed", "skips": "skipped"}[listed.get(test)]
        if outcome != expected:
            yield f"{test} {outcome}, and by the list of exceptions it should be {expected}"
    for test in sorted(listed.keys() - found.keys()):
        yield f"{test} is listed as an exception and did not run"


def main():
    first, *paths = sys.argv[1:]
    if first == "--failed":
        for test, outcome in outcomes(paths).items():
            if outcome == "failed":
                module, test = test.split(".", maxsplit=1)
                print(f"kazoo.tests.{module}::{test}")
        return
    found, listed = outcomes(paths), exceptions(first)
    wrong = list(problems(found, listed))
    for problem in wrong:
        print(f"kazoo-suite: {problem}")
    counts = {outcome: list(found.values()).count(outcome) for outcome in ("passed", "failed", "skipped")}
    print(f"kazoo-suite: {counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    sys.exit(1 if wrong else 0)


main()
