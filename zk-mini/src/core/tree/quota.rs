//! Quotas: nodes below `/zookeeper/quota` that count the nodes below others, and can limit them.
//!
//! The quota of `/a` is the node `/zookeeper/quota/a/zookeeper_limits`. The counts are written to `zookeeper_stats`
//! beside it, without a transaction. If that node has other data, it stays as it is; ZooKeeper crashes on it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use zk_wire::path;

use crate::core::events::Observers;
use crate::core::tree::Tree;
use crate::core::tree::weight::{Weight, signed};

const QUOTA: &str = "/zookeeper/quota";
const LIMITS: &str = "zookeeper_limits";
const STATS: &str = "zookeeper_stats";

/// Maximum length of data with quota counts.
const LONGEST_TRACK: usize = 1024;

/// Paths with a quota.
#[derive(Debug, Default)]
pub(crate) struct Quotas {
    paths: BTreeSet<String>,
    /// Number of paths by length. Only these lengths are looked up.
    lengths: BTreeMap<usize, usize>,
}

impl Quotas {
    pub(super) fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Returns the nearest path with a quota, at or above `path`.
    fn above<'a>(&self, path: &'a str) -> Option<&'a str> {
        if self.is_empty() {
            return None;
        }
        let mut candidate = path;
        // The set of lengths is small, so most ancestors need no search of paths.
        while !(self.lengths.contains_key(&candidate.len()) && self.paths.contains(candidate)) {
            (candidate, _) = path::split(candidate)?;
        }
        Some(candidate)
    }

    fn insert(&mut self, subject: &str) {
        if self.paths.insert(subject.to_owned()) {
            *self.lengths.entry(subject.len()).or_default() += 1;
        }
    }

    fn remove(&mut self, subject: &str) {
        let count = self.paths.remove(subject).then(|| self.lengths.get_mut(&subject.len())).flatten();
        if let Some(count) = count {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&subject.len());
            }
        }
    }
}

impl Tree {
    /// Updates quotas after the creation of a node.
    pub(crate) fn quota_created(&mut self, path: &str, bytes: usize, observers: &mut Observers<'_>) {
        match quota_node(path) {
            Some((subject, LIMITS)) => {
                self.quotas.insert(subject);
            }
            // Data that the client sent is replaced by the real counts.
            Some((subject, STATS)) => self.count_anew(subject, observers),
            _ => {}
        }
        self.quota_changed(path, signed(bytes), 1, observers);
    }

    /// Updates quotas after a node is restored from a snapshot. Counts in a fuzzy snapshot are not reliable, so they
    /// are not used.
    pub(crate) fn quota_restored(&mut self, path: &str) {
        if let Some((subject, LIMITS)) = quota_node(path) {
            self.quotas.insert(subject);
        }
    }

    /// Updates quotas after the deletion of a node.
    pub(crate) fn quota_deleted(&mut self, path: &str, bytes: usize, observers: &mut Observers<'_>) {
        if let Some((subject, LIMITS)) = quota_node(path) {
            self.quotas.remove(subject);
        }
        self.quota_changed(path, -signed(bytes), -1, observers);
    }

    /// Adds to the counts of nodes and bytes at a path.
    pub(crate) fn quota_changed(
        &mut self,
        path: &str,
        bytes: i64,
        count: i64,
        observers: &mut Observers<'_>,
    ) {
        let Some(subject) = self.quotas.above(path) else { return };
        let stats_path = format!("{QUOTA}{subject}/{STATS}");
        let data = self.get(&stats_path).and_then(|node| node.data.clone()).unwrap_or_default();
        let Some(mut stats) = Track::parse(&data) else { return };
        stats.add("count", count);
        stats.add("bytes", bytes);
        self.set_quietly(&stats_path, stats.to_bytes(), observers);
    }

    /// Counts all quotas again after a restart.
    pub(crate) fn recount(&mut self) {
        let subjects: Vec<_> = self.quotas.paths.iter().cloned().collect();
        subjects.iter().for_each(|subject| self.count_anew(subject, &mut Observers::none()));
    }

    /// Writes the present counts of a quota.
    fn count_anew(&mut self, subject: &str, observers: &mut Observers<'_>) {
        let (count, bytes) = self.measure(subject);
        let stats = Track { values: BTreeMap::from([("count", count), ("bytes", bytes)]) };
        self.set_quietly(&format!("{QUOTA}{subject}/{STATS}"), stats.to_bytes(), observers);
    }

    /// Returns `true` if hard limits leave room for a change.
    pub(crate) fn quota_allows(&self, path: &str, bytes: i64, count: i64) -> bool {
        let Some(subject) = self.quotas.above(path) else { return true };
        let track = |name: &str| self.get(&format!("{QUOTA}{subject}/{name}"))?.data.clone();
        let (Some(limits), Some(stats)) = (track(LIMITS), track(STATS)) else { return true };
        let (Some(limits), Some(stats)) = (Track::parse(&limits), Track::parse(&stats)) else { return true };
        let fits = |name: &str, limit: &str, change: i64| {
            let limit = limits.get(limit);
            // -1 means unlimited.
            change == 0 || limit < 0 || stats.get(name).saturating_add(change) <= limit
        };
        fits("count", "countHardLimit", count) && fits("bytes", "byteHardLimit", bytes)
    }

    /// Returns the number of nodes at and below a path, and the bytes of their data.
    fn measure(&self, path: &str) -> (i64, i64) {
        let Some(node) = self.get(path) else { return (0, 0) };
        let mut weight = self.weight_below(path);
        weight += Weight::of_one(node.data_len());
        (weight.nodes, weight.bytes)
    }
}

/// Returns `true` for a limit on the root, which crashes ZooKeeper.
pub(crate) fn is_quota_of_root(path: &str) -> bool {
    matches!(quota_node(path), Some(("", LIMITS)))
}

/// Splits a path below `/zookeeper/quota` into the path that it is about and its name. The root is the empty path.
fn quota_node(path: &str) -> Option<(&str, &str)> {
    // The common case, at the least cost.
    if !path.starts_with(QUOTA) {
        return None;
    }
    let (parent, name) = path::split(path)?;
    let subject = parent.strip_prefix(QUOTA)?;
    (subject.is_empty() || subject.starts_with('/')).then_some((subject, name))
}

/// Named numbers, as in `count=3,bytes=10=;byteHardLimit=20`.
struct Track<'a> {
    values: BTreeMap<&'a str, i64>,
}

impl<'a> Track<'a> {
    /// Reads the numbers; `None` for other data. Long data is rejected at once, because it would be read at every
    /// change.
    fn parse(data: &'a Bytes) -> Option<Self> {
        if data.len() > LONGEST_TRACK {
            return None;
        }
        let text = std::str::from_utf8(data).ok()?;
        let mut values = BTreeMap::new();
        for pair in text.split([',', ';']).filter(|pair| !pair.is_empty()) {
            let mut halves = pair.split('=');
            let (name, number) = (halves.next()?, halves.next()?);
            values.insert(name, if number.is_empty() { -1 } else { number.parse().ok()? });
        }
        Some(Self { values })
    }

    fn get(&self, name: &str) -> i64 {
        self.values.get(name).copied().unwrap_or(-1)
    }

    fn add(&mut self, name: &'a str, change: i64) {
        self.values.insert(name, self.get(name).wrapping_add(change));
    }

    /// Writes the numbers. The extra `=` before the further names makes older readers stop there.
    fn to_bytes(&self) -> Bytes {
        let mut text = format!("count={},bytes={}", self.get("count"), self.get("bytes"));
        let mut separator = "=;";
        for (name, number) in &self.values {
            if !matches!(*name, "count" | "bytes") {
                text.push_str(&format!("{separator}{name}={number}"));
                separator = ";";
            }
        }
        Bytes::from(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quota_counts_are_written_as_they_are_read() {
        for text in ["count=3,bytes=10", "count=-1,bytes=5=;byteHardLimit=7;countHardLimit=9"] {
            let data = Bytes::from_static(text.as_bytes());
            assert_eq!(Track::parse(&data).unwrap().to_bytes(), data);
        }
        assert!(Track::parse(&Bytes::from_static(b"garbage")).is_none());
        assert!(Track::parse(&Bytes::from_static(b"count=x")).is_none());
        assert!(Track::parse(&Bytes::from("count=1,".repeat(200))).is_none(), "too long");
    }
}
