//! A copy of a tree, as a state machine: events of a recursive watch and results of reads go in, the next reads and the copy come
//! out. It knows no connection, clock or task.
//!
//! - A change costs one read of its node, a deletion none. A new node that has children costs a list besides.
//! - After a gap in the events, every known node is looked at without its data. Data is read where the `Stat` says that it is
//!   new, and children are listed where it says that some came or went. The copy is published when all has been looked at.
//! - One read of a node is under way at a time, and another one follows if an event came meanwhile. So the last read of a
//!   node is always later than its last event, and answers may overtake events.
//! - A node that cannot be read is left out with all below it, and tried again after pauses, because no event will tell of it.

use std::sync::Arc;

use bytes::Bytes;
use common::{Backoff, Millis};
use zk_client::Stat;

use super::name_map::NameMap;
use super::scope::Scope;
use super::tree::{ChildrenState, Tree, TreeNode};
use skips::Skips;
use work::{Work, Works};

mod skips;
mod work;

const PAUSES: Backoff = Backoff::new(Millis(50), Millis(5_000));

/// Events that the shell reports.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// A connection exists. [`Self::Missed`] follows once the watch is set on it.
    Connected,
    /// No connection exists.
    Disconnected,
    /// The watch is set, or set again: changes before it are unknown.
    Missed,
    /// A node was created, or has new data.
    Changed(String),
    /// A node was deleted.
    Deleted(String),
    /// The read of this number is over.
    Read { path: String, read: ReadId, outcome: TreeRead },
    /// The deadline has come.
    Timeout,
}

/// Number of a read: tells the reads of one node apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ReadId(u64);

/// Part of a node to read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum What {
    /// Its data and `Stat`.
    Data,
    /// Its `Stat`.
    Stat,
    /// The names of its children and its `Stat`.
    Children,
}

/// End of a read.
#[derive(Clone, Debug)]
pub(crate) enum TreeRead {
    Data(Bytes, Stat),
    Stat(Stat),
    Children(Vec<String>, Stat),
    /// The node does not exist.
    Gone,
    /// The server does not let us read it.
    Refused(String),
    /// There was no answer, or none for now.
    Failed,
}

/// Reads to perform, any number of them at a time, and copies to publish.
#[derive(Clone, Debug)]
pub(crate) enum Output {
    Read {
        path: String,
        read: ReadId,
        what: What,
    },
    /// Publish the copy: it differs from the last one.
    Publish(Tree),
}

/// The state machine.
#[derive(Debug)]
pub(crate) struct Core {
    scope: Scope,
    /// True if data is kept.
    data: bool,
    max_reads: usize,
    now: Millis,
    connected: bool,
    /// True from [`Input::Missed`] to the loss of the connection.
    watched: bool,
    tree: Tree,
    works: Works,
    skips: Skips,
    /// Number of reads under way.
    reads: usize,
    next_read: u64,
    published: Option<Tree>,
    not_before: Option<Millis>,
    failures: u32,
    random: fastrand::Rng,
}

impl Core {
    pub(crate) fn new(seed: u64, scope: Scope, data: bool, max_reads: usize) -> Self {
        Self {
            tree: Tree::new(scope.root().into()),
            scope,
            data,
            max_reads: max_reads.max(1),
            now: Millis(0),
            connected: false,
            watched: false,
            works: Works::default(),
            skips: Skips::new(!seed),
            reads: 0,
            next_read: 0,
            published: None,
            not_before: None,
            failures: 0,
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// Takes an input. Call [`Self::poll_output`] when no more inputs are ready: inputs that come together make one change of the
    /// copy.
    pub(crate) fn handle(&mut self, now: Millis, input: Input) {
        self.now = now;
        match input {
            Input::Connected => {
                self.connected = true;
                self.not_before = None;
                self.answered();
            }
            Input::Disconnected => {
                self.connected = false;
                self.watched = false;
            }
            Input::Missed => {
                self.watched = true;
                self.drop_works();
                let root = self.scope.root().to_owned();
                self.want(&root, true);
            }
            Input::Changed(path) => self.changed(&path),
            Input::Deleted(path) => {
                if self.scope.contains(&path) {
                    self.remove(&path);
                    self.forget_list_with(&path);
                }
            }
            Input::Read { path, read, outcome } => {
                self.reads = self.reads.saturating_sub(1);
                self.read(path, read, outcome);
            }
            Input::Timeout => self.not_before = self.not_before.filter(|&at| at > now),
        }
        while let Some(path) = self.skips.due(now) {
            self.want(&path, false);
        }
    }

    /// Returns the next output, if there is one.
    #[must_use]
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.next_read().or_else(|| self.next_tree().map(Output::Publish))
    }

    /// Returns the time at which [`Input::Timeout`] is due.
    #[must_use]
    pub(crate) fn poll_deadline(&self) -> Option<Millis> {
        let pause = self.not_before.filter(|_| self.connected);
        pause.into_iter().chain(self.skips.deadline()).min()
    }

    fn next_read(&mut self) -> Option<Output> {
        if !self.connected || self.not_before.is_some() || self.reads >= self.max_reads {
            return None;
        }
        let read = ReadId(self.next_read);
        let (path, what) = self.works.begin(read)?;
        self.next_read += 1;
        self.reads += 1;
        Some(Output::Read { path, read, what })
    }

    /// Returns the copy, if it differs from the published one.
    fn next_tree(&mut self) -> Option<Tree> {
        let is_settled = self.watched && !self.works.is_deep();
        let mut next = if is_settled {
            if let Some(skipped) = self.skips.take_changed() {
                self.tree.skipped = Arc::new(skipped);
            }
            self.tree.clone()
        } else {
            self.published.clone()?
        };
        next.stale = !is_settled;
        if self.published.as_ref().is_some_and(|published| published.is_same(&next)) {
            return None;
        }
        self.published = Some(next.clone());
        Some(next)
    }

    /// Forgets what is left to read. Nodes that are not known yet will be found by another list of their parents.
    fn drop_works(&mut self) {
        for path in std::mem::take(&mut self.works).into_paths() {
            self.forget_list_with(&path);
        }
    }

    /// Forgets that the parent of a node has been listed.
    fn forget_list_with(&mut self, path: &str) {
        if let Some((parent, _)) = zk_wire::path::split(path) {
            self.tree.update(parent, |parent| parent.listed = None);
        }
    }

    fn changed(&mut self, path: &str) {
        if !self.scope.contains(path) {
            return;
        }
        // The parent may still be on its way into the copy. It lists its children then, and finds this one.
        if self.tree.has_parent_of(path) {
            self.want(path, false);
        } else if let Some((parent, _)) = zk_wire::path::split(path) {
            self.works.want_list(parent);
        }
    }

    fn want(&mut self, path: &str, deep: bool) {
        let is_known = deep && self.tree.get(path).is_some();
        let next = if is_known { What::Stat } else { self.first() };
        self.works.want(path, Work { next, list: false, deep, again: false });
    }

    fn read(&mut self, path: String, read: ReadId, outcome: TreeRead) {
        let Some(work) = self.works.end(&path, read) else { return };
        if !matches!(outcome, TreeRead::Failed) {
            self.answered();
        }
        let next = match outcome {
            TreeRead::Data(data, stat) => self.node_read(&path, work, data, stat),
            TreeRead::Stat(stat) => self.stat_read(&path, work, stat),
            TreeRead::Children(names, stat) => {
                self.listed(&path, work, names, &stat);
                None
            }
            TreeRead::Gone => {
                self.remove(&path);
                None
            }
            TreeRead::Refused(why) => {
                self.tree.remove(&path);
                self.works.forget(&path);
                // Its own failures count on.
                self.skips.forget_below(&path);
                self.skips.add(self.now, path.clone(), why);
                None
            }
            TreeRead::Failed => {
                self.retry_later();
                Some(work.next)
            }
        };
        let is_gone = self.tree.get(&path).is_none();
        match next {
            // The node changed after it was read: from the beginning, and this time with its children.
            Some(What::Children) if work.again => {
                self.works.queue(path, Work { next: self.first(), list: true, again: false, ..work });
            }
            Some(next) => self.works.queue(path, Work { next, again: false, ..work }),
            None if work.again => self.want(&path, work.deep && is_gone),
            None => {}
        }
    }

    /// Takes a node over, and returns the next read of it.
    fn node_read(&mut self, path: &str, work: Work, data: Bytes, stat: Stat) -> Option<What> {
        if !self.tree.has_parent_of(path) {
            // Removed meanwhile.
            return None;
        }
        if self.skips.contains(path) {
            self.skips.forget(path);
        }
        let same = self.tree.get(path).filter(|known| known.stat.czxid == stat.czxid);
        let has_new_children = match same {
            Some(known) => work.deep && known.listed != Some(ChildrenState::of(&stat)),
            // In place of an older node, events of its children may have come already.
            None => stat.num_children > 0 || self.tree.get(path).is_some(),
        };
        match same {
            Some(known) if known.is_version_of(&stat) && !has_new_children => {}
            Some(_) => self.tree.update(path, |node| {
                node.data = data;
                node.stat = stat;
            }),
            None => {
                self.remove(path);
                let listed = (!has_new_children).then(|| ChildrenState::of(&stat));
                self.tree.put(path, TreeNode { data, stat, listed, children: NameMap::default() });
            }
        }
        if (work.list || has_new_children) && self.scope.reaches_below(path) {
            return Some(What::Children);
        }
        if work.deep {
            let known = self.tree.get(path).into_iter().flat_map(TreeNode::children);
            let mut below: Vec<_> = known.map(|(name, _)| zk_wire::path::join(path, name)).collect();
            below.append(&mut self.skips.below(path));
            for child in &below {
                self.want(child, true);
            }
        }
        None
    }

    fn stat_read(&mut self, path: &str, work: Work, stat: Stat) -> Option<What> {
        if !self.data {
            return self.node_read(path, work, Bytes::new(), stat);
        }
        match self.tree.get(path) {
            Some(known) if known.is_version_of(&stat) => {
                let data = known.data.clone();
                self.node_read(path, work, data, stat)
            }
            _ => Some(What::Data),
        }
    }

    fn listed(&mut self, path: &str, work: Work, mut names: Vec<String>, stat: &Stat) {
        let Some(node) = self.tree.get(path) else { return };
        names.sort_unstable();
        let is_listed = |name: &str| names.binary_search_by(|listed| listed.as_str().cmp(name)).is_ok();
        let missing = node.children().filter(|(name, _)| !is_listed(name));
        let missing = missing.map(|(name, child)| (zk_wire::path::join(path, name), child.stat.czxid));
        for (child, created) in missing.collect::<Vec<_>>() {
            if created <= stat.pzxid {
                self.remove(&child);
            } else {
                // It came after the list was made, or the server has lost data.
                self.want(&child, work.deep);
            }
        }
        let prefix = zk_wire::path::join(path, "");
        for skipped in self.skips.below(path) {
            if !is_listed(&skipped[prefix.len()..]) {
                self.skips.forget(&skipped);
            }
        }
        self.tree.update(path, |node| {
            node.listed = Some(ChildrenState::of(stat));
        });
        for name in &names {
            let child = zk_wire::path::join(path, name);
            let is_known = self.tree.get(&child).is_some() || self.works.contains(&child);
            let is_known = is_known || self.skips.contains(&child);
            if self.scope.contains(&child) && (work.deep || !is_known) {
                self.want(&child, work.deep);
            }
        }
    }

    fn remove(&mut self, path: &str) {
        self.tree.remove(path);
        self.works.forget(path);
        self.skips.forget(path);
    }

    /// Returns the first read of a node that may have changed.
    fn first(&self) -> What {
        if self.data { What::Data } else { What::Stat }
    }

    fn answered(&mut self) {
        self.failures = 0;
    }

    fn retry_later(&mut self) {
        // Many reads fail together with their connection; that is one failure.
        if self.not_before.is_none() {
            let earlier = self.failures.checked_sub(1);
            self.failures = self.failures.saturating_add(1);
            self.not_before = earlier.map(|earlier| self.now + PAUSES.pause(earlier, &mut self.random));
        }
    }
}

#[cfg(test)]
mod tests;
