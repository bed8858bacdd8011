//! Paths that a connection watches.

use foldhash::HashSet;
use zk_wire::ByteString;

use super::watchers::{Modes, WatchMode};
use crate::core::emptied::Emptied;

/// Maximum number of watched paths that are moved to a smaller table at once, which takes a few milliseconds.
pub(super) const MAX_MOVED: usize = 50_000;

/// Maximum capacity that is kept for a connection without watches.
pub(super) const KEPT_CAPACITY: usize = 16;

/// Paths that one connection watches.
#[derive(Debug, Default)]
pub(super) struct WatchedPaths {
    pub(super) paths: HashSet<ByteString>,
    /// Bytes of all paths.
    pub(super) bytes: usize,
    /// Number of watches for one event, and of others. A path may have one of each mode.
    pub(super) standard: usize,
    pub(super) lasting: usize,
}

impl WatchedPaths {
    pub(super) fn insert(&mut self, path: ByteString) {
        self.bytes += path.len();
        self.paths.insert(path);
    }

    /// Removes a path. Returns `false` if it was not there.
    pub(super) fn remove(&mut self, path: &str) -> bool {
        let removed = self.paths.remove(path);
        if removed {
            self.bytes -= path.len();
        }
        removed
    }

    /// Counts the watches of a path whose modes change.
    pub(super) fn count(&mut self, old: Modes, new: Modes) {
        let standard = Modes::of(WatchMode::Standard);
        let has = |modes: Modes| usize::from(modes.has(WatchMode::Standard));
        let lasting = |modes: Modes| modes.without(standard).count();
        // Not below zero: what is left of an earlier connection with this id was not counted here.
        self.standard = (self.standard + has(new)).saturating_sub(has(old));
        self.lasting = (self.lasting + lasting(new)).saturating_sub(lasting(old));
    }

    /// Frees most of the memory of paths that have become few. Keeps small allocations, because most clients re-arm their
    /// watch after every event.
    pub(super) fn shrink(&mut self, emptied: &mut Emptied) {
        let (len, capacity) = (self.paths.len(), self.paths.capacity());
        if len <= MAX_MOVED && capacity > KEPT_CAPACITY.max(8 * len) {
            let mut former = std::mem::take(&mut self.paths);
            self.paths = HashSet::with_capacity_and_hasher(2 * len, former.hasher().clone());
            self.paths.extend(former.drain());
            emptied.add_paths(former.into_iter(), capacity);
        }
    }
}
