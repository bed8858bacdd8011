//! Memory of large tables that have become empty.

use std::collections::hash_set;

use foldhash::HashMap;
use zk_wire::ByteString;

use crate::core::watch::Watchers;

/// Capacity above which it takes too long to free a table while others wait: a million entries take 20 ms.
const LARGE: usize = 10_000;

/// Large tables without an entry. A caller that holds a lock drops them after it.
#[derive(Debug, Default)]
pub struct Emptied {
    watchers: Vec<HashMap<ByteString, Watchers>>,
    paths: Vec<hash_set::IntoIter<ByteString>>,
}

impl Emptied {
    /// Returns `true` if there is nothing that takes long to drop.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.watchers.is_empty() && self.paths.is_empty()
    }

    /// Takes an empty table of watchers. One that is not large is dropped.
    pub(crate) fn add_watchers(&mut self, table: HashMap<ByteString, Watchers>) {
        if table.capacity() > LARGE {
            self.watchers.push(table);
        }
    }

    /// Takes a set of paths that has been walked to its end, and that had this capacity. One that is not large is dropped.
    pub(crate) fn add_paths(&mut self, paths: hash_set::IntoIter<ByteString>, capacity: usize) {
        if capacity > LARGE {
            self.paths.push(paths);
        }
    }

    /// Returns the numbers of tables of watchers and of sets of paths.
    #[cfg(test)]
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.watchers.len(), self.paths.len())
    }

    /// Takes the tables of another.
    pub(crate) fn append(&mut self, other: &mut Self) {
        self.watchers.append(&mut other.watchers);
        self.paths.append(&mut other.paths);
    }
}
