//! Nodes by path.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::hash_table::{Entry, HashTable};
use zk_wire::ByteString;

use crate::core::tree::node::Node;

/// Node with its path. Writes share the path: a copy would cost each of them more than the path takes.
pub(crate) type NamedNode = (ByteString, Node);

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
    entry: Box<NamedNode>,
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

    /// Makes room for this many more nodes.
    pub(crate) fn reserve(&mut self, nodes: usize) {
        self.slots.reserve(nodes, |slot| slot.hash);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.slots.iter().map(|slot| (&*slot.entry.0, &slot.entry.1))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut Node)> {
        self.slots.iter_mut().map(|slot| (&*slot.entry.0, &mut slot.entry.1))
    }

    /// Returns the node at a path with the stored path.
    pub(crate) fn get(&self, path: &str) -> Option<&NamedNode> {
        self.slots.find(self.hasher.hash_one(path), |slot| slot.is(path)).map(|slot| &*slot.entry)
    }

    pub(crate) fn get_mut(&mut self, path: &str) -> Option<&mut Node> {
        self.slots.find_mut(self.hasher.hash_one(path), |slot| slot.is(path)).map(|slot| &mut slot.entry.1)
    }

    /// Inserts a node. Returns the node that it replaces, with the path that is not needed.
    pub(crate) fn insert(&mut self, path: ByteString, node: Node) -> Option<NamedNode> {
        let hash = self.hasher.hash_one(&*path);
        match self.slots.entry(hash, |slot| slot.is(&path), |slot| slot.hash) {
            Entry::Occupied(mut slot) => Some((path, std::mem::replace(&mut slot.get_mut().entry.1, node))),
            Entry::Vacant(slot) => {
                slot.insert(Slot { hash, entry: Box::new((path, node)) });
                None
            }
        }
    }

    pub(crate) fn remove(&mut self, path: &str) -> Option<Box<NamedNode>> {
        let found = self.slots.find_entry(self.hasher.hash_one(path), |slot| slot.is(path));
        found.ok().map(|found| found.remove().0.entry)
    }
}
