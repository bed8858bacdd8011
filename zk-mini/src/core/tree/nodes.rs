//! Nodes by path.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::hash_table::{Entry, HashTable};
use zk_wire::ByteString;

use crate::core::tree::node::Node;

/// Hash table of nodes. Slots store their hash, so that the table grows without reading paths, and a pointer, so that
/// they are small. Otherwise growth would block other requests for long with a million nodes.
#[derive(Debug)]
pub(crate) struct Nodes {
    slots: HashTable<Slot>,
    hasher: FixedState,
}

#[derive(Debug)]
struct Slot {
    hash: u64,
    entry: Box<(ByteString, Node)>,
}

impl Slot {
    fn is(&self, path: &str) -> bool {
        self.entry.0 == path
    }
}

impl Nodes {
    /// Creates an empty table. The seed decides on the order of paths, so clients cannot choose paths that collide.
    pub(crate) fn new(seed: u64) -> Self {
        Self { slots: HashTable::new(), hasher: FixedState::with_seed(seed) }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &(ByteString, Node)> {
        self.slots.iter().map(|slot| &*slot.entry)
    }

    /// Returns the node at a path with the stored path.
    pub(crate) fn get(&self, path: &str) -> Option<(&ByteString, &Node)> {
        let slot = self.slots.find(self.hasher.hash_one(path), |slot| slot.is(path))?;
        Some((&slot.entry.0, &slot.entry.1))
    }

    pub(crate) fn get_mut(&mut self, path: &str) -> Option<&mut Node> {
        self.slots.find_mut(self.hasher.hash_one(path), |slot| slot.is(path)).map(|slot| &mut slot.entry.1)
    }

    /// Inserts a node and returns the replaced node.
    pub(crate) fn insert(&mut self, path: ByteString, node: Node) -> Option<Node> {
        let hash = self.hasher.hash_one(&*path);
        match self.slots.entry(hash, |slot| slot.is(&path), |slot| slot.hash) {
            Entry::Occupied(mut slot) => Some(std::mem::replace(&mut slot.get_mut().entry.1, node)),
            Entry::Vacant(slot) => {
                slot.insert(Slot { hash, entry: Box::new((path, node)) });
                None
            }
        }
    }

    pub(crate) fn remove(&mut self, path: &str) -> Option<Box<(ByteString, Node)>> {
        let found = self.slots.find_entry(self.hasher.hash_one(path), |slot| slot.is(path));
        found.ok().map(|found| found.remove().0.entry)
    }
}
