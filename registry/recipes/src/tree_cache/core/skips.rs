//! Nodes that the servers do not let us read, and the times at which they are tried again: no event tells when they may be read.

use std::collections::{BTreeMap, BTreeSet};

use common::{Backoff, Millis};

const PAUSES: Backoff = Backoff::new(Millis(1_000), Millis(30_000));

#[derive(Debug)]
struct Skip {
    why: String,
    failures: u32,
    at: Millis,
}

/// All nodes that are skipped.
#[derive(Debug)]
pub(super) struct Skips {
    by_path: BTreeMap<String, Skip>,
    by_time: BTreeSet<(Millis, String)>,
    random: fastrand::Rng,
    /// True if the reasons have changed since the last [`Self::take_changed`].
    changed: bool,
}

impl Skips {
    pub(super) fn new(seed: u64) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        Self { by_path: BTreeMap::new(), by_time: BTreeSet::new(), random, changed: false }
    }

    pub(super) fn contains(&self, path: &str) -> bool {
        self.by_path.contains_key(path)
    }

    /// Adds a node, or its next failure.
    pub(super) fn add(&mut self, now: Millis, path: String, why: String) {
        let before = self.by_path.remove(&path);
        let failures = before.as_ref().map_or(0, |before| before.failures.saturating_add(1));
        if let Some(before) = &before {
            self.by_time.remove(&(before.at, path.clone()));
        }
        self.changed |= before.is_none_or(|before| before.why != why);
        let at = now + PAUSES.pause(failures, &mut self.random);
        self.by_time.insert((at, path.clone()));
        self.by_path.insert(path, Skip { why, failures, at });
    }

    /// Removes a node and all below it.
    pub(super) fn forget(&mut self, path: &str) {
        self.forget_below(path);
        self.forget_one(path.to_owned());
    }

    /// Removes all nodes below another.
    pub(super) fn forget_below(&mut self, path: &str) {
        let prefix = zk_wire::path::join(path, "");
        let below = self.by_path.range(prefix.clone()..).map(|(below, _)| below);
        // The root is below itself by this rule.
        let below = below.take_while(|below| below.starts_with(&prefix)).filter(|below| *below != path);
        for below in below.cloned().collect::<Vec<_>>() {
            self.forget_one(below);
        }
    }

    fn forget_one(&mut self, path: String) {
        let Some(skip) = self.by_path.remove(&path) else { return };
        self.by_time.remove(&(skip.at, path));
        self.changed = true;
    }

    /// Returns the names of the children of `parent` that are skipped.
    pub(super) fn below(&self, parent: &str) -> Vec<String> {
        let prefix = zk_wire::path::join(parent, "");
        let below = self.by_path.range(prefix.clone()..).take_while(|(path, _)| path.starts_with(&prefix));
        let children = below.filter(|(path, _)| **path != prefix && !path[prefix.len()..].contains('/'));
        children.map(|(path, _)| path.clone()).collect()
    }

    /// Takes out the time of a node that is to be tried again now.
    pub(super) fn due(&mut self, now: Millis) -> Option<String> {
        self.by_time.first().filter(|(at, _)| *at <= now)?;
        self.by_time.pop_first().map(|(_, path)| path)
    }

    /// Returns the time of the next try.
    pub(super) fn deadline(&self) -> Option<Millis> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Returns the reasons, if they have changed.
    pub(super) fn take_changed(&mut self) -> Option<BTreeMap<String, String>> {
        let shown = || self.by_path.iter().map(|(path, skip)| (path.clone(), skip.why.clone())).collect();
        std::mem::take(&mut self.changed).then(shown)
    }
}
