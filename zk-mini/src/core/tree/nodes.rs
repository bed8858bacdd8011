//! Nodes by path.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use hashbrown::hash_table::{Entry, HashTable};
use zk_wire::ByteString;

use crate::core::tree::node::{NamedNode, Node};
use crate::core::tree::places::Places;

/// Hash table of nodes. Slots store their hash, so that the table grows without reading paths, and the place of the node, so
/// that they are small. Otherwise growth would block other requests for long with a million nodes.
#[derive(Debug)]
pub(crate) struct Nodes {
    slots: HashTable<Slot>,
    places: Places,
    hasher: FixedState,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: u32,
    place: u32,
}

impl Slot {
    /// Returns the hash for the table, which looks at its lowest and its highest bits.
    fn hash(&self) -> u64 {
        spread(self.hash)
    }
}

fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

impl Nodes {
    /// Creates an empty table. The seed decides on the hashes, so clients cannot choose paths that collide.
    pub(crate) fn new(seed: u64) -> Self {
        Self { slots: HashTable::new(), places: Places::default(), hasher: FixedState::with_seed(seed) }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.places.iter().map(|(path, node)| (&**path, node))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut Node)> {
        self.places.iter_mut().map(|(path, node)| (&**path, node))
    }

    /// Returns the node at a path, of which only the bytes are known, with the stored path.
    #[inline]
    pub(crate) fn get(&self, path: &[u8]) -> Option<&NamedNode> {
        let hash = self.hash(path);
        let slot = self.slots.find(spread(hash), |slot| is(&self.places, *slot, hash, path))?;
        self.places.get(slot.place)
    }

    pub(crate) fn get_mut(&mut self, path: &str) -> Option<&mut Node> {
        let path = path.as_bytes();
        let hash = self.hash(path);
        let slot = self.slots.find(spread(hash), |slot| is(&self.places, *slot, hash, path))?;
        self.places.get_mut(slot.place).map(|(_, node)| node)
    }

    /// Inserts a node. Returns the node that it replaces, with the path that is not needed.
    pub(crate) fn insert(&mut self, path: ByteString, node: Node) -> Option<NamedNode> {
        let bytes = path.as_bytes();
        let hash = self.hash(bytes);
        let Self { slots, places, .. } = self;
        match slots.entry(spread(hash), |slot| is(places, *slot, hash, bytes), Slot::hash) {
            Entry::Occupied(slot) => {
                let (_, present) = places.get_mut(slot.get().place)?;
                Some((path, std::mem::replace(present, node)))
            }
            Entry::Vacant(slot) => {
                slot.insert(Slot { hash, place: places.put((path, node)) });
                None
            }
        }
    }

    pub(crate) fn remove(&mut self, path: &str) -> Option<NamedNode> {
        let path = path.as_bytes();
        let hash = self.hash(path);
        let places = &self.places;
        let found = self.slots.find_entry(spread(hash), |slot| is(places, *slot, hash, path)).ok()?;
        let (slot, _) = found.remove();
        self.places.take(slot.place)
    }

    /// Returns half of a path's hash: enough bits for a table of as many nodes as there are places.
    fn hash(&self, path: &[u8]) -> u32 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(path);
        (hasher.finish() >> 32) as u32
    }
}

/// Returns true if a slot is that of a path. Few other paths have the same hash, so few others are read.
#[inline]
fn is(places: &Places, slot: Slot, hash: u32, path: &[u8]) -> bool {
    slot.hash == hash && places.get(slot.place).is_some_and(|(stored, _)| stored.as_bytes() == path)
}
