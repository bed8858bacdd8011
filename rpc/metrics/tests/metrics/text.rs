//! The text keeps the rules of Prometheus, those that `promtool check metrics` asks for included.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rpc_metrics::{ClientMetrics, Refusal, ServerMetrics, Snapshot};

/// Readings with something in every family.
pub(crate) fn everything() -> Snapshot {
    let server = ServerMetrics::default();
    server.set_methods([("shop", "price"), ("odd \"one\"", "a\\b")]);
    for index in 0..3 {
        let calls = server.method(index);
        for code in [0, 5, 99] {
            calls.start();
            calls.end(code, Duration::from_micros(10 << index));
        }
        calls.start();
        calls.received.add(3);
        calls.sent.increment();
    }
    server.refuse(Refusal::Late);
    let client = ClientMetrics::new("shop");
    let instance = client.instance("10.0.0.1:80", "17-5f");
    for calls in [client.method("price"), &*instance] {
        calls.start();
        calls.end(0, Duration::from_secs(200));
    }
    let mut all = server.snapshot();
    all.merge(&client.snapshot());
    all
}

/// A sample: its name, its labels as they are written, its value.
struct Sample<'a> {
    name: &'a str,
    labels: &'a str,
    value: f64,
}

fn sample(line: &str) -> Sample<'_> {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    Sample { name, labels: labels.strip_suffix('}').unwrap(), value: value.parse().unwrap() }
}

/// Splits the labels of a bucket into those of its series and its bound.
fn bound(labels: &str) -> (&str, f64) {
    let (series, bound) = labels.rsplit_once("le=\"").unwrap();
    (series.trim_end_matches(','), bound.trim_end_matches('"').parse().unwrap())
}

#[test]
fn each_family_is_one_block_with_help_and_type() {
    let text = everything().to_text();
    let (mut seen, mut series) = (BTreeSet::new(), BTreeSet::new());
    let (mut family, mut kind) = ("", "");
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap();
            assert!(seen.insert(name), "{name} has two blocks");
            assert!(help.ends_with('.'), "{help}");
            let named = lines.next().and_then(|line| line.strip_prefix("# TYPE ")).unwrap();
            (family, kind) = named.split_once(' ').unwrap();
            assert_eq!(family, name);
            continue;
        }
        let Sample { name, labels, value } = sample(line);
        let own = match kind {
            "histogram" => ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)),
            _ => Some(name),
        };
        assert_eq!(own, Some(family), "{line}");
        assert!(series.insert((name, labels)), "{line} is there twice");
        assert!(value >= 0.0 && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{line}");
        // The rules of promtool about names.
        assert_eq!(kind == "counter", family.ends_with("_total"), "{family}");
        assert_eq!(kind == "histogram", family.ends_with("_seconds"), "{family}");
    }
    assert!(seen.len() > 15, "{seen:?}");
    // OpenMetrics names a counter without its end, so that would be another family of the same name.
    let bases: BTreeSet<_> = seen.iter().map(|name| name.trim_end_matches("_total")).collect();
    assert_eq!(bases.len(), seen.len(), "{seen:?}");
}

#[test]
fn buckets_grow_and_end_with_the_count() {
    let text = everything().to_text();
    let (mut buckets, mut counts) = (BTreeMap::<_, Vec<_>>::new(), BTreeMap::new());
    for Sample { name, labels, value } in text.lines().filter(|line| !line.starts_with('#')).map(sample) {
        if let Some(family) = name.strip_suffix("_bucket") {
            let (series, bound) = bound(labels);
            buckets.entry((family, series)).or_default().push((bound, value));
        } else if let Some(family) = name.strip_suffix("_count") {
            counts.insert((family, labels), value);
        }
    }
    assert!(buckets.len() > 5 && buckets.keys().eq(counts.keys()));
    for (series, buckets) in buckets {
        assert!(buckets.is_sorted(), "{series:?}: {buckets:?}");
        assert!(buckets.iter().map(|(_, count)| count).is_sorted(), "{series:?}: {buckets:?}");
        assert_eq!(*buckets.last().unwrap(), (f64::INFINITY, counts[&series]));
        assert_eq!(buckets.len(), 24);
    }
}
