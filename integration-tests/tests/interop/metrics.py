#!/usr/bin/env python3
"""Reads metrics with Prometheus's own parser: `metrics.py URL_OR_FILE ...` prints, of each, its samples as a line of JSON, a list of name,
labels and value for each family. Ends with a status of failure and what is wrong if the parser refuses one, or if it breaks a rule of the
format that the parser does not look at.
"""

import json
import sys
from urllib.request import urlopen

try:
    from prometheus_client.parser import text_string_to_metric_families
except ImportError:
    sys.exit(
        "prometheus_client is missing: run ci/setup, which installs it under the target directory, "
        "or `pip install prometheus_client` for the Python that KAZOO_PYTHON names"
    )

TYPES = {"counter", "gauge", "histogram"}


def read(source):
    if "://" not in source:
        with open(source, encoding="utf-8") as file:
            return file.read()
    with urlopen(source) as answer:
        content_type = answer.headers["content-type"]
        assert content_type == "text/plain; version=0.0.4; charset=utf-8", content_type
        return answer.read().decode()


def families_of(text):
    families = list(text_string_to_metric_families(text))
    names = [family.name for family in families]
    assert len(names) == len(set(names)), f"a family has two blocks: {names}"
    for family in families:
        assert family.type in TYPES and family.documentation, f"{family.name} has no type or no help"
        seen = set()
        for sample in family.samples:
            series = (sample.name, *sorted(sample.labels.items()))
            assert series not in seen, f"{series} is there twice"
            seen.add(series)
        if family.type == "histogram":
            check_histograms(family)
    return families


def check_histograms(family):
    buckets, counts, sums = {}, {}, {}
    for sample in family.samples:
        series = tuple(sorted((name, value) for name, value in sample.labels.items() if name != "le"))
        if sample.name == f"{family.name}_bucket":
            buckets.setdefault(series, []).append((float(sample.labels["le"]), sample.value))
        else:
            kind = {f"{family.name}_count": counts, f"{family.name}_sum": sums}[sample.name]
            kind[series] = sample.value
    assert buckets.keys() == counts.keys() == sums.keys(), f"{family.name}: a series lacks a part"
    for series, of_series in buckets.items():
        bounds, values = zip(*of_series)
        assert list(bounds) == sorted(set(bounds)) and list(values) == sorted(values), f"{family.name}{series}: {of_series}"
        assert of_series[-1] == (float("inf"), counts[series]), f"{family.name}{series}: {of_series[-1]}"


for source in sys.argv[1:]:
    families = families_of(read(source))
    samples = [[sample.name, sample.labels, sample.value] for family in families for sample in family.samples]
    print(json.dumps(samples), flush=True)
