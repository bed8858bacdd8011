//! Places of nodes: blocks of memory, so that a node has no allocation of its own and its number is short.

use crate::core::tree::node::NamedNode;

/// Number of nodes in a block: few enough that blocks become empty when many nodes go.
const BLOCK: u32 = 64;

/// Nodes by the numbers of their places. A node stays in its place until it is removed.
#[derive(Debug, Default)]
pub(crate) struct Places {
    blocks: Vec<Block>,
    /// Blocks with room, each once. The last one is filled next.
    roomy: Vec<u32>,
}

#[derive(Debug, Default)]
struct Block {
    nodes: Vec<Option<NamedNode>>,
    /// Places in `nodes` without a node.
    free: Vec<u8>,
}

impl Places {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &NamedNode> {
        self.blocks.iter().flat_map(|block| &block.nodes).flatten()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut NamedNode> {
        self.blocks.iter_mut().flat_map(|block| &mut block.nodes).flatten()
    }

    #[inline]
    pub(crate) fn get(&self, place: u32) -> Option<&NamedNode> {
        let (block, at) = split(place);
        self.blocks.get(block as usize)?.nodes.get(usize::from(at))?.as_ref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, place: u32) -> Option<&mut NamedNode> {
        let (block, at) = split(place);
        self.blocks.get_mut(block as usize)?.nodes.get_mut(usize::from(at))?.as_mut()
    }

    /// Puts a node into a free place, and returns its number.
    pub(crate) fn put(&mut self, node: NamedNode) -> u32 {
        let number = match self.roomy.last() {
            Some(number) => *number,
            None => {
                let number = short(self.blocks.len());
                self.blocks.push(Block::default());
                self.roomy.push(number);
                number
            }
        };
        let block = &mut self.blocks[number as usize];
        let at = block.put(node);
        if block.is_full() {
            self.roomy.pop();
        }
        number * BLOCK + at
    }

    /// Removes the node in a place.
    pub(crate) fn take(&mut self, place: u32) -> Option<NamedNode> {
        let (number, at) = split(place);
        let block = self.blocks.get_mut(number as usize)?;
        // The block that is filled next keeps its memory: nodes may come and go one by one.
        let next = self.roomy.last().copied();
        if next == Some(number) {
            return block.take(at);
        }
        let was_full = block.is_full();
        let node = block.take(at)?;
        let other = if was_full {
            self.roomy.push(number);
            next
        } else {
            Some(number)
        };
        if let Some(other) = other {
            self.blocks[other as usize].give_back();
        }
        Some(node)
    }
}

impl Block {
    fn is_full(&self) -> bool {
        self.nodes.len() == BLOCK as usize && self.free.is_empty()
    }

    /// Puts a node into a block that is not full.
    fn put(&mut self, node: NamedNode) -> u32 {
        if let Some(at) = self.free.pop() {
            self.nodes[usize::from(at)] = Some(node);
            return at.into();
        }
        if self.nodes.is_empty() {
            self.nodes.reserve_exact(BLOCK as usize);
        }
        self.nodes.push(Some(node));
        short(self.nodes.len() - 1)
    }

    fn take(&mut self, at: u8) -> Option<NamedNode> {
        let node = self.nodes.get_mut(usize::from(at))?;
        if node.is_some() {
            self.free.push(at);
        }
        // Last, so that the node is moved only once.
        node.take()
    }

    /// Frees the memory of an empty block.
    fn give_back(&mut self) {
        if self.free.len() == self.nodes.len() {
            *self = Self::default();
        }
    }
}

/// Returns the block of a place, and the index in it.
fn split(place: u32) -> (u32, u8) {
    (place / BLOCK, (place % BLOCK) as u8)
}

/// Shortens a number: nodes for more bits would take a terabyte.
fn short(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use zk_wire::{Acl, ByteString, UnixMillis, Zxid};

    use super::*;
    use crate::core::access::shared_acl::SharedAcl;
    use crate::core::tree::node::Node;
    use crate::core::txn::NodeKind;

    fn node(name: usize) -> NamedNode {
        let acl = SharedAcl::new(&[Acl::open()].into());
        let node = Node::new(None, acl, NodeKind::Persistent, Zxid(0), UnixMillis(0));
        (ByteString::from(name.to_string()), node)
    }

    fn rooms(places: &Places) -> usize {
        places.blocks.iter().map(|block| block.nodes.capacity()).sum()
    }

    proptest! {
        #[test]
        fn nodes_stay_in_their_places(steps in prop::collection::vec((0..5_u8, any::<prop::sample::Index>()), 0..2_000)) {
            let (mut places, mut model) = (Places::default(), BTreeMap::new());
            for (step, (kind, index)) in steps.into_iter().enumerate() {
                if kind > 1 {
                    let place = places.put(node(step));
                    prop_assert_eq!(model.insert(place, step.to_string()), None, "the place was free");
                } else if !model.is_empty() {
                    let place = *model.keys().nth(index.index(model.len())).unwrap();
                    let expected = model.remove(&place);
                    prop_assert_eq!(places.take(place).map(|(path, _)| path.to_string()), expected);
                    prop_assert!(places.get(place).is_none() && places.take(place).is_none());
                }
                prop_assert!(rooms(&places) <= places.blocks.len() * BLOCK as usize);
            }
            for (place, path) in &model {
                prop_assert_eq!(places.get(*place).map(|(path, _)| &**path), Some(&**path));
                prop_assert_eq!(places.get_mut(*place).map(|(path, _)| &**path), Some(&**path));
            }
            prop_assert!(places.iter().map(|(path, _)| path.to_string()).eq(model.into_values()));
        }
    }

    #[test]
    fn memory_of_empty_blocks_is_given_back_and_their_places_are_used_again() {
        const ALL: u32 = 100 * BLOCK;
        let upwards: Vec<_> = (0..ALL).collect();
        let downwards: Vec<_> = (0..ALL).rev().collect();
        let anyhow: Vec<_> = (0..ALL).map(|number| number * 7_919 % ALL).collect();
        for order in [upwards, downwards, anyhow] {
            let mut places = Places::default();
            let put: Vec<_> = (0..ALL as usize).map(|name| places.put(node(name))).collect();
            assert_eq!(put, (0..ALL).collect::<Vec<_>>());
            order.iter().for_each(|place| assert!(places.take(*place).is_some()));
            assert!(rooms(&places) <= 2 * BLOCK as usize, "{}", rooms(&places));
            (0..ALL as usize).for_each(|name| assert!(places.put(node(name)) < ALL));
            assert_eq!(places.blocks.len(), 100);
        }
    }

    #[test]
    fn a_node_that_comes_and_goes_needs_no_new_block() {
        let mut places = Places::default();
        let first = places.put(node(0));
        places.take(first);
        assert_eq!(rooms(&places), BLOCK as usize);
        assert_eq!(places.put(node(1)), first);
    }
}
