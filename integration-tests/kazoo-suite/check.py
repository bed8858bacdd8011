"""Compares the outcome of kazoo's test suite (JUnit XML) with the list of exceptions; standard library only.

usage: check.py RESULTS.xml EXCEPTIONS.txt
"""

import sys
import xml.etree.ElementTree as ElementTree

# Minimum number of tests; kazoo 2.11 has 493.
LEAST_TESTS = 450


def outcomes(path):
    """Returns "passed", "failed" or "skipped" by test."""
    found = {}
    for case in ElementTree.parse(path).iter("testcase"):
        test = case.get("classname").rpartition("kazoo.tests.")[2] + "::" + case.get("name")
        bad = case.find("failure") is not None or case.find("error") is not None
        skipped = case.find("skipped") is not None
        found[test] = "failed" if bad else "skipped" if skipped else "passed"
    return found


def exceptions(path):
    """Returns "fails" or "either" by test."""
    lines = (line.split(maxsplit=2) for line in open(path, encoding="utf-8"))
    return {line[1]: line[0] for line in lines if line and not line[0].startswith("#")}


def problems(found, listed):
    """Yields one line for each problem."""
    if len(found) < LEAST_TESTS:
        yield f"only {len(found)} tests ran"
    for test, outcome in sorted(found.items()):
        expected = listed.get(test)
        if outcome == "failed" and expected is None:
            yield f"{test} failed"
        if outcome == "passed" and expected == "fails":
            yield f"{test} passes now: take it off the list of exceptions"
    for test in sorted(listed.keys() - found.keys()):
        yield f"{test} is listed as an exception and did not run"


def main():
    found, listed = outcomes(sys.argv[1]), exceptions(sys.argv[2])
    wrong = list(problems(found, listed))
    for problem in wrong:
        print(f"kazoo-suite: {problem}")
    counts = {outcome: list(found.values()).count(outcome) for outcome in ("passed", "failed", "skipped")}
    print(f"kazoo-suite: {counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    sys.exit(1 if wrong else 0)


main()
