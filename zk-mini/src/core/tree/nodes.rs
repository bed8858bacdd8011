//! Nodes by path.

use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

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
    /// Node that was written last, and its parent: a write finds both twice, and the next one often has the same parent, or is
    /// about one of them. The root is the parent of many, so it has a memory of its own.
    latest: Remembered,
    latest_parent: Remembered,
    root: Remembered,
}

const ROOT: &str = "/";

/// Place where a node was found last. It may have another node now, or none: the path there tells.
#[derive(Debug)]
struct Remembered(AtomicU32);

impl Remembered {
    fn set(&self, place: u32) {
        self.0.store(place, Relaxed);
    }

    fn get(&self) -> u32 {
        self.0.load(Relaxed)
    }
}

impl Default for Remembered {
    fn default() -> Self {
        // No node is there: see `Places`.
        Self(AtomicU32::new(u32::MAX))
    }
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
        Self {
            slots: HashTable::new(),
            places: Places::default(),
            hasher: FixedState::with_seed(seed),
            latest: Remembered::default(),
            latest_parent: Remembered::default(),
            root: Remembered::default(),
        }
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
        self.at_mut(self.find_place(path)?)
    }

    /// Returns the place of a node, in which it stays.
    pub(crate) fn find_place(&self, path: &str) -> Option<u32> {
        let path = path.as_bytes();
        let hash = self.hash(path);
        self.slots.find(spread(hash), |slot| is(&self.places, *slot, hash, path)).map(|slot| slot.place)
    }

    /// Returns the node in a place.
    pub(crate) fn at_mut(&mut self, place: u32) -> Option<&mut Node> {
        self.places.get_mut(place).map(|(_, node)| node)
    }

    /// Returns the node that a request writes, with the stored path, and remembers its place.
    #[inline]
    pub(crate) fn written(&self, path: &str) -> Option<&NamedNode> {
        self.places.get(self.find_written(path)?)
    }

    /// Returns the parent of the node that a request writes, and remembers its place.
    #[inline]
    pub(crate) fn parent(&self, path: &str) -> Option<&Node> {
        self.places.get(self.find_parent(path)?).map(|(_, node)| node)
    }

    /// Returns the node that a transaction writes, quickly if it was [looked at](Self::written) before.
    pub(crate) fn written_mut(&mut self, path: &str) -> Option<&mut Node> {
        self.at_mut(self.find_written(path)?)
    }

    /// Returns the parent of the node that a transaction writes, quickly if it was [looked at](Self::parent) before.
    pub(crate) fn parent_mut(&mut self, path: &str) -> Option<&mut Node> {
        self.at_mut(self.find_parent(path)?)
    }

    #[inline]
    fn find_written(&self, path: &str) -> Option<u32> {
        self.find(path, &self.latest, &self.latest_parent)
    }

    /// Returns the place of the parent of the node that a request writes, and remembers it.
    #[inline]
    pub(crate) fn find_parent(&self, path: &str) -> Option<u32> {
        self.find(path, if path == ROOT { &self.root } else { &self.latest_parent }, &self.latest)
    }

    /// Returns the place of a node: a remembered one if it is there, which takes a third of the time.
    #[inline(always)]
    fn find(&self, path: &str, first: &Remembered, second: &Remembered) -> Option<u32> {
        let place = first.get();
        if self.is_at(path, place) { Some(place) } else { self.find_anew(path, first, second) }
    }

    #[inline(never)]
    fn find_anew(&self, path: &str, first: &Remembered, second: &Remembered) -> Option<u32> {
        let mut place = second.get();
        if !self.is_at(path, place) {
            place = self.find_place(path)?;
        }
        first.set(place);
        Some(place)
    }

    /// Returns `true` if the node of a path is in a place.
    #[inline(always)]
    fn is_at(&self, path: &str, place: u32) -> bool {
        self.places.get(place).is_some_and(|(stored, _)| stored == path)
    }

    /// Inserts a node. Returns the node that it replaces, with the path that is not needed.
    pub(crate) fn insert(&mut self, path: ByteString, node: Node) -> Option<NamedNode> {
        let bytes = path.as_bytes();
        let hash = self.hash(bytes);
        let Self { slots, places, latest, .. } = self;
        match slots.entry(spread(hash), |slot| is(places, *slot, hash, bytes), Slot::hash) {
            Entry::Occupied(slot) => {
                let (_, present) = places.get_mut(slot.get().place)?;
                Some((path, std::mem::replace(present, node)))
            }
            Entry::Vacant(slot) => {
                let new = Slot { hash, place: places.put((path, node)) };
                slot.insert(new);
                latest.set(new.place);
                None
            }
        }
    }

    pub(crate) fn remove(&mut self, path: &str) -> Option<NamedNode> {
        let place = self.find_written(path)?;
        self.slots.find_entry(spread(self.hash(path.as_bytes())), |slot| slot.place == place).ok()?.remove();
        self.places.take(place)
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use zk_wire::{Acl, UnixMillis, Zxid};

    use super::*;
    use crate::core::access::shared_acl::SharedAcl;
    use crate::core::txn::NodeKind;

    proptest! {
        /// Nodes come and go, and others take their places: what is remembered must not name them.
        #[test]
        fn every_way_to_a_node_leads_to_the_same(
            steps in prop::collection::vec((0..6_u8, prop::sample::select(vec!["/", "/a", "/b", "/a/a", "/a/b"])), 0..200),
        ) {
            let (mut nodes, mut model) = (Nodes::new(1), BTreeMap::new());
            let acl = SharedAcl::new(&[Acl::open()].into());
            for (number, (kind, path)) in (1..).zip(steps) {
                let expected = model.get(path).copied();
                let zxid = |node: &Node| node.czxid;
                match kind {
                    0 => {
                        let node = Node::new(None, acl.clone(), NodeKind::Persistent, Zxid(number), UnixMillis(0));
                        let replaced = nodes.insert(path.into(), node).map(|(_, node)| node.czxid);
                        prop_assert_eq!(replaced, model.insert(path, Zxid(number)));
                    }
                    1 => prop_assert_eq!(nodes.remove(path).map(|(_, node)| node.czxid), model.remove(path)),
                    2 => prop_assert_eq!(nodes.parent(path).map(zxid), expected),
                    3 => prop_assert_eq!(nodes.parent_mut(path).map(|node| node.czxid), expected),
                    4 => prop_assert_eq!(nodes.written_mut(path).map(|node| node.czxid), expected),
                    _ => {
                        let found = nodes.written(path);
                        prop_assert!(found.is_none_or(|(stored, _)| stored == path));
                        prop_assert_eq!(found.map(|(_, node)| node.czxid), expected);
                    }
                }
                prop_assert_eq!(nodes.get(path.as_bytes()).map(|(_, node)| node.czxid), model.get(path).copied());
            }
        }
    }
}
