//! Sums over the nodes below each node. They are stored, because a walk over the tree would block other requests.

use std::collections::BTreeMap;

use foldhash::{HashMap, HashMapExt};
use zk_wire::path;

use crate::core::tree::Tree;
use crate::core::tree::weight::{Weight, signed};

impl Tree {
    /// Returns the number and bytes of the nodes below a node; zero if it does not exist. For the root they are
    /// computed from the totals.
    pub(crate) fn weight_below(&self, path: &str) -> Weight {
        match self.get(path) {
            Some(root) if matches!(path, "" | "/") => {
                // The root is not kept up to date: each change would touch it.
                let mut all = Weight { nodes: signed(self.len()), bytes: signed(self.data_bytes()) };
                all += -Weight::of_one(root.data_len());
                all
            }
            Some(node) => node.below(),
            None => Weight::default(),
        }
    }

    /// Adds to the sums of all ancestors of a node, except the root.
    pub(crate) fn weigh_above(&mut self, path: &str, weight: Weight) {
        if let Some(above) = parent_of(path) {
            self.weigh(above, weight);
            self.weigh_above_parent(above, weight);
        }
    }

    /// Adds to the sums of all ancestors of a node that has, or had, children, except the root.
    #[inline]
    pub(crate) fn weigh_above_parent(&mut self, path: &str, weight: Weight) {
        // The root and its children have none: a common case.
        if path != "/" {
            self.weigh_ancestors(path, weight);
        }
    }

    /// Each ancestor knows the place of the next: to look up all their paths would cost the square of the depth.
    fn weigh_ancestors(&mut self, path: &str, weight: Weight) {
        let Some(mut above) = parent_of(path) else { return };
        let Some(mut place) = self.nodes.find_parent(path) else { return };
        loop {
            let Some(known) = self.nodes.at_mut(place).map(|node| node.family().parent) else { return };
            let Some(next) = known.or_else(|| self.nodes.find_place(above)) else { return };
            if known.is_none()
                && let Some(node) = self.nodes.at_mut(place)
            {
                node.family().parent = Some(next);
            }
            if let Some(node) = self.nodes.at_mut(next) {
                node.family().below += weight;
            }
            place = next;
            match parent_of(above) {
                Some(next) => above = next,
                None => return,
            }
        }
    }

    /// Adds to the sums of the ancestors of many paths. Common ancestors are looked up once.
    pub(crate) fn weigh_above_all(&mut self, weights: HashMap<&str, Weight>) {
        // Ordered by length: a path is longer than those of its ancestors.
        let mut open: BTreeMap<(usize, &str), Weight> =
            weights.into_iter().map(|(path, weight)| ((path.len(), path), weight)).collect();
        // The longest first, so that all weights below a path are added up before it is its turn.
        while let Some(((_, path), weight)) = open.pop_last() {
            let Some(above) = parent_of(path) else { continue };
            self.weigh(above, weight);
            *open.entry((above.len(), above)).or_default() += weight;
        }
    }

    /// Computes all sums again.
    pub(crate) fn weigh_all(&mut self) {
        let mut children: HashMap<Box<str>, Weight> = HashMap::new();
        for (path, node) in self.nodes.iter_mut() {
            node.forget_weight();
            let Some(above) = parent_of(path) else { continue };
            let weight = Weight::of_one(node.data_len());
            match children.get_mut(above) {
                Some(sum) => *sum += weight,
                None => {
                    children.insert(above.into(), weight);
                }
            }
        }
        for (path, weight) in &children {
            self.weigh(path, *weight);
        }
        self.weigh_above_all(children.iter().map(|(path, weight)| (&**path, *weight)).collect());
    }

    /// Adds to the sum of a node.
    fn weigh(&mut self, path: &str, weight: Weight) {
        if let Some(node) = self.node_mut(path) {
            node.family().below += weight;
        }
    }
}

/// Returns the path of a node's parent, unless that is the root.
fn parent_of(path: &str) -> Option<&str> {
    path::split(path).map(|(above, _)| above).filter(|above| *above != "/")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use proptest::prelude::*;
    use zk_wire::{Acl, ByteString, UnixMillis, Version, Zxid};

    use super::*;
    use crate::core::events::Observers;
    use crate::core::tree::node::Node;
    use crate::core::txn::{CreateNode, NodeKind};

    #[derive(Clone, Debug)]
    enum Step {
        Create(usize),
        Delete,
        Set(usize),
        Restore(usize),
    }

    fn step() -> impl Strategy<Value = (String, Step)> {
        let path = prop::collection::vec(prop::sample::select(vec!["a", "b"]), 1..6);
        let step = prop_oneof![
            4 => (0..9_usize).prop_map(Step::Create),
            2 => Just(Step::Delete),
            1 => (0..9_usize).prop_map(Step::Set),
            1 => (0..9_usize).prop_map(Step::Restore),
        ];
        (path.prop_map(|names| format!("/{}", names.join("/"))), step)
    }

    fn data(len: usize) -> Option<Bytes> {
        Some(Bytes::from(vec![0; len]))
    }

    fn run(tree: &mut Tree, path: &str, step: &Step) {
        let (zxid, time, acl): (_, _, Arc<[Acl]>) = (Zxid(1), UnixMillis(1), [Acl::open()].into());
        let (path, observers) = (ByteString::from(path), &mut Observers::none());
        let is_leaf = tree.get(&path).is_some_and(|node| node.children().is_empty());
        match *step {
            Step::Create(len) => {
                let (data, kind, parent_cversion) = (data(len), NodeKind::Persistent, 1);
                tree.create(CreateNode { path, data, acl, kind, parent_cversion }, zxid, time, observers);
            }
            Step::Delete if is_leaf => tree.delete(&path, zxid, observers),
            Step::Delete => {
                // Several leaves, at once.
                let leaves = tree.iter().filter(|(path, node)| node.children().is_empty() && path.len() > 4);
                let leaves: Vec<_> = leaves.map(|(path, _)| ByteString::from(path)).collect();
                let leaves: Vec<_> =
                    leaves.into_iter().filter(|path| !path.starts_with("/zookeeper")).collect();
                tree.delete_all(&leaves, zxid, observers);
            }
            Step::Set(len) => {
                tree.set_data(&path, data(len), Version(1), zxid, time, observers);
            }
            Step::Restore(len) => {
                let node = Node::new(data(len), tree.share(&acl), NodeKind::Persistent, zxid, time);
                tree.restore(path, node);
                tree.weigh_all();
            }
        }
    }

    /// Computes the sum below a path from all nodes.
    fn counted(tree: &Tree, path: &str) -> Weight {
        let below = format!("{}/", path.trim_end_matches('/'));
        let mut weight = Weight::default();
        tree.iter()
            .filter(|(other, _)| other.starts_with(&below) && *other != below)
            .for_each(|(_, node)| weight += Weight::of_one(node.data_len()));
        weight
    }

    proptest! {
        #[test]
        fn stored_sums_equal_computed_ones(steps in prop::collection::vec(step(), 1..80)) {
            let mut tree = Tree::new(false, 1);
            for (path, step) in &steps {
                run(&mut tree, path, step);
            }
            for recount in [false, true] {
                if recount {
                    tree.weigh_all();
                }
                let paths: Vec<_> = tree.iter().map(|(path, _)| path.to_owned()).collect();
                for path in &paths {
                    prop_assert_eq!(tree.weight_below(path), counted(&tree, path), "{}, {}", path, recount);
                }
            }
        }
    }
}
