//! Reads to do: one piece of work a node, in the order in which it came.

use std::collections::BTreeMap;

use super::{ReadId, What};

/// Work on one node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work {
    /// Next read.
    pub(super) next: What,
    /// True if the children must be listed, whatever the node's `Stat` says.
    pub(super) list: bool,
    /// True if all nodes below must be looked at as well.
    pub(super) deep: bool,
    /// True if the node has changed since the read under way began.
    pub(super) again: bool,
}

#[derive(Debug)]
enum Progress {
    Queued(u64),
    InFlight(ReadId),
}

/// All work, by the path of its node.
#[derive(Debug, Default)]
pub(super) struct Works {
    by_path: BTreeMap<String, (Work, Progress)>,
    queue: BTreeMap<u64, String>,
    next_place: u64,
    /// Number of pieces that are deep.
    deep: usize,
}

impl Works {
    /// Returns true while nodes are to be looked at with all below them.
    pub(super) fn is_deep(&self) -> bool {
        self.deep > 0
    }

    /// Adds work, or joins it to the work that its node has already.
    pub(super) fn want(&mut self, path: &str, work: Work) {
        let Some((present, progress)) = self.by_path.get_mut(path) else {
            self.queue(path.to_owned(), work);
            return;
        };
        self.deep += usize::from(work.deep && !present.deep);
        present.deep |= work.deep;
        present.list |= work.list;
        match progress {
            Progress::InFlight(_) => present.again = true,
            // The node has been read before it changed.
            Progress::Queued(_) if present.next == What::Children => {
                present.next = work.next;
                present.list = true;
            }
            Progress::Queued(_) => {}
        }
    }

    /// Makes the work of a node list its children. Returns false if the node has none.
    pub(super) fn want_list(&mut self, path: &str) -> bool {
        self.by_path.get_mut(path).map(|(work, _)| work.list = true).is_some()
    }

    /// Queues work of a node that has none.
    pub(super) fn queue(&mut self, path: String, work: Work) {
        self.deep += usize::from(work.deep);
        self.next_place += 1;
        self.queue.insert(self.next_place, path.clone());
        self.by_path.insert(path, (work, Progress::Queued(self.next_place)));
    }

    /// Returns the next read, which is then under way.
    pub(super) fn begin(&mut self, read: ReadId) -> Option<(String, What)> {
        let (_, path) = self.queue.pop_first()?;
        let (work, progress) = self.by_path.get_mut(&path)?;
        *progress = Progress::InFlight(read);
        Some((path, work.next))
    }

    /// Takes out the work whose read is over; `None` if the work has been forgotten.
    pub(super) fn end(&mut self, path: &str, read: ReadId) -> Option<Work> {
        match self.by_path.get(path) {
            Some((_, Progress::InFlight(of))) if *of == read => self.take(path),
            _ => None,
        }
    }

    /// Returns true if the node has work.
    pub(super) fn contains(&self, path: &str) -> bool {
        self.by_path.contains_key(path)
    }

    /// Forgets the work of a node and of all below it.
    pub(super) fn forget(&mut self, path: &str) {
        self.take(path);
        let prefix = zk_wire::path::join(path, "");
        let below = self.by_path.range(prefix.clone()..).take_while(|(path, _)| path.starts_with(&prefix));
        let below: Vec<_> = below.map(|(path, _)| path.clone()).collect();
        for path in below {
            self.take(&path);
        }
    }

    /// Returns the paths of all nodes that have work.
    pub(super) fn into_paths(self) -> impl Iterator<Item = String> {
        self.by_path.into_keys()
    }

    fn take(&mut self, path: &str) -> Option<Work> {
        let (work, progress) = self.by_path.remove(path)?;
        self.deep -= usize::from(work.deep);
        if let Progress::Queued(place) = progress {
            self.queue.remove(&place);
        }
        Some(work)
    }
}
