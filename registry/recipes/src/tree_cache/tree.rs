//! A copy of a tree: its nodes, and the differences of two copies. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use zk_client::{Stat, Version, Zxid};

use super::name_map::NameMap;

/// Copy of the nodes below a path, as a [`TreeCache`](crate::TreeCache) has it. Cloning is cheap, and copies that follow each other
/// share the nodes that did not change.
#[derive(Clone, Debug)]
pub struct Tree {
    path: Arc<str>,
    pub(super) root: Option<Arc<TreeNode>>,
    pub(super) skipped: Arc<BTreeMap<String, String>>,
    pub(super) stale: bool,
}

/// Node of a [`Tree`].
#[derive(Clone, Debug)]
pub struct TreeNode {
    pub(super) data: Bytes,
    pub(super) stat: Stat,
    /// State of the children when they were listed; `None` before.
    pub(super) listed: Option<ChildrenState>,
    pub(super) children: NameMap<Arc<Self>>,
}

/// State of the children, as a `Stat` tells it: another one means that some came or went.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct ChildrenState {
    pzxid: Zxid,
    cversion: Version,
}

impl ChildrenState {
    pub(super) fn of(stat: &Stat) -> Self {
        Self { pzxid: stat.pzxid, cversion: stat.cversion }
    }
}

/// Difference between two copies of a tree, see [`Tree::diff`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TreeChange {
    /// The node is new.
    Added(String),
    /// The node has other data, or was made anew.
    Changed(String),
    /// The node is gone.
    Removed(String),
}

impl Tree {
    pub(super) fn new(path: Arc<str>) -> Self {
        Self { path, root: None, skipped: Arc::default(), stale: true }
    }

    /// Returns the path of the topmost node.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the topmost node; `None` if it does not exist.
    #[must_use]
    pub fn root(&self) -> Option<&TreeNode> {
        self.root.as_deref()
    }

    /// Returns a node by its full path.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&TreeNode> {
        names_below(&self.path, path)?.try_fold(self.root()?, TreeNode::child)
    }

    /// Returns all nodes with their full paths; a parent comes before its children.
    pub fn nodes(&self) -> impl Iterator<Item = (String, &TreeNode)> {
        let mut left: Vec<_> = self.root().map(|root| (self.path.to_string(), root)).into_iter().collect();
        std::iter::from_fn(move || {
            let (path, node) = left.pop()?;
            let children = node.children().rev();
            left.extend(children.map(|(name, child)| (zk_wire::path::join(&path, name), child)));
            Some((path, node))
        })
    }

    /// Returns the number of nodes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.root().map_or(0, TreeNode::count)
    }

    /// Returns true if the topmost node does not exist.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// Returns the nodes that the servers do not let us read, with the reason. Those below them are unknown.
    #[must_use]
    pub fn skipped(&self) -> &BTreeMap<String, String> {
        &self.skipped
    }

    /// Returns true if changes may be missing: there is no connection, or not everything has been looked at again since.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.stale
    }

    /// Returns the differences between this copy and a later one of the same tree, in the order of [`Self::nodes`]. Subtrees
    /// without a change are passed over.
    #[must_use]
    pub fn diff(&self, next: &Self) -> Vec<TreeChange> {
        let mut changes = Vec::new();
        diff(&self.path, self.root.as_ref(), next.root.as_ref(), &mut changes);
        changes
    }

    /// Returns true if both have the same nodes, known in the same way.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let roots = match (&self.root, &other.root) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        roots && Arc::ptr_eq(&self.skipped, &other.skipped) && self.stale == other.stale
    }
}

impl TreeNode {
    /// Returns the data; empty in a cache without data.
    #[must_use]
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// Returns the `Stat` that was read with the data. Its numbers of children may be older than [`Self::children`].
    #[must_use]
    pub fn stat(&self) -> &Stat {
        &self.stat
    }

    /// Returns a child by its name.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.get(name).map(|child| &**child)
    }

    /// Returns the children with their names, in order.
    pub fn children(&self) -> impl DoubleEndedIterator<Item = (&str, &Self)> + ExactSizeIterator {
        self.children.iter().map(|(name, child)| (name, &**child))
    }

    fn count(&self) -> usize {
        1 + self.children().map(|(_, child)| child.count()).sum::<usize>()
    }

    /// Returns true if both are the same version of the same node.
    pub(super) fn is_version_of(&self, stat: &Stat) -> bool {
        // The numbers of transactions may come again on a server that has lost its data; the times do not.
        let version = |stat: &Stat| (stat.czxid, stat.mzxid, stat.ctime, stat.mtime, stat.version);
        version(&self.stat) == version(stat)
    }
}

/// Returns the names on the way from `root` down to `path`; `None` if that is neither `root` nor below it.
pub(super) fn names_below<'a>(root: &str, path: &'a str) -> Option<impl Iterator<Item = &'a str> + use<'a>> {
    let rest = match root {
        "/" => path.strip_prefix('/')?,
        _ => match path.strip_prefix(root)? {
            "" => "",
            rest => rest.strip_prefix('/')?,
        },
    };
    Some(rest.split('/').filter(|name| !name.is_empty()))
}

fn diff(
    path: &str,
    before: Option<&Arc<TreeNode>>,
    next: Option<&Arc<TreeNode>>,
    changes: &mut Vec<TreeChange>,
) {
    let none = NameMap::default();
    match (before, next) {
        (Some(before), Some(next)) if Arc::ptr_eq(before, next) => return,
        (Some(before), Some(next)) if before.is_version_of(&next.stat) => {}
        (Some(_), Some(_)) => changes.push(TreeChange::Changed(path.to_owned())),
        (None, Some(_)) => changes.push(TreeChange::Added(path.to_owned())),
        (Some(_), None) => changes.push(TreeChange::Removed(path.to_owned())),
        (None, None) => return,
    }
    let before = before.map_or(&none, |before| &before.children);
    let next = next.map_or(&none, |next| &next.children);
    for (name, before, next) in before.pairs(next) {
        diff(&zk_wire::path::join(path, name), before, next, changes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(version: i32, children: &[(&str, &Arc<TreeNode>)]) -> Arc<TreeNode> {
        let stat = Stat { mzxid: Zxid(version.into()), version: Version(version), ..Stat::default() };
        let mut node = TreeNode { data: Bytes::new(), stat, listed: None, children: NameMap::default() };
        for (name, child) in children {
            node.children.insert((*name).into(), Arc::clone(child));
        }
        Arc::new(node)
    }

    fn tree(path: &str, root: &Arc<TreeNode>) -> Tree {
        Tree { root: Some(Arc::clone(root)), ..Tree::new(path.into()) }
    }

    #[test]
    fn nodes_are_found_by_their_paths_whatever_the_topmost_one_is() {
        let inner = node(0, &[("b", &node(2, &[]))]);
        let root = node(0, &[("a", &inner), ("a-", &node(3, &[]))]);
        for (top, prefix) in [("/", ""), ("/app", "/app"), ("/x/y", "/x/y")] {
            let tree = tree(top, &root);
            let paths: Vec<_> = tree.nodes().map(|(path, _)| path).collect();
            let at = |rest: &str| format!("{prefix}{rest}");
            assert_eq!(paths, [top.to_owned(), at("/a"), at("/a/b"), at("/a-")]);
            assert_eq!(tree.len(), 4);
            assert_eq!(tree.get(&at("/a/b")).unwrap().stat().version, Version(2));
            assert_eq!(tree.get(top).unwrap().children().len(), 2);
            assert!(tree.get(&at("/a/c")).is_none());
        }
        assert!(tree("/app", &root).get("/apple/a").is_none());
    }

    #[test]
    fn the_difference_names_each_node_once_and_passes_over_shared_subtrees() {
        use TreeChange::{Added, Changed, Removed};
        let shared = node(1, &[("deep", &node(1, &[]))]);
        let before = node(0, &[("gone", &node(1, &[("too", &node(1, &[]))])), ("kept", &shared)]);
        let next = node(1, &[("kept", &shared), ("new", &node(1, &[]))]);
        let changes = tree("/t", &before).diff(&tree("/t", &next));
        let expected = [
            Changed("/t".to_owned()),
            Removed("/t/gone".to_owned()),
            Removed("/t/gone/too".to_owned()),
            Added("/t/new".to_owned()),
        ];
        assert_eq!(changes, expected);
        assert_eq!(tree("/t", &before).diff(&tree("/t", &before)), []);
        assert_eq!(Tree::new("/t".into()).diff(&tree("/t", &next)).len(), 4);
    }
}
