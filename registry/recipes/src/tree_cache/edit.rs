//! Edits of a tree. They copy the nodes on the way down if an earlier copy of the tree still has them. Pure.

use std::sync::Arc;

use super::tree::{Tree, TreeNode, names_below};

impl Tree {
    /// Returns true if the node exists, or would be the topmost one.
    pub(super) fn has_parent_of(&self, path: &str) -> bool {
        path == self.path()
            || zk_wire::path::split(path).is_some_and(|(parent, _)| self.get(parent).is_some())
    }

    /// Changes a node that exists.
    pub(super) fn update(&mut self, path: &str, change: impl FnOnce(&mut TreeNode)) {
        if let Some(node) = self.node_mut(path) {
            change(node);
        }
    }

    /// Puts a node in its place, if its parent exists.
    pub(super) fn put(&mut self, path: &str, node: TreeNode) {
        if path == self.path() {
            self.root = Some(Arc::new(node));
        } else if let Some((parent, name)) = zk_wire::path::split(path)
            && let Some(parent) = self.node_mut(parent)
        {
            parent.children.insert(name.into(), Arc::new(node));
        }
    }

    /// Removes a node with all below it.
    pub(super) fn remove(&mut self, path: &str) {
        if path == self.path() {
            self.root = None;
        } else if self.get(path).is_some()
            && let Some((parent, name)) = zk_wire::path::split(path)
            && let Some(parent) = self.node_mut(parent)
        {
            parent.children.remove(name);
        }
    }

    fn node_mut(&mut self, path: &str) -> Option<&mut TreeNode> {
        // A look first: a node that does not exist must copy nothing.
        self.get(path)?;
        let mut names = names_below(self.path(), path)?;
        let root = Arc::make_mut(self.root.as_mut()?);
        names.try_fold(root, |node, name| node.children.get_mut(name).map(Arc::make_mut))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use zk_client::Stat;

    use super::*;
    use crate::tree_cache::name_map::NameMap;

    fn node(data: &'static str) -> TreeNode {
        let (data, stat) = (Bytes::from(data), Stat::default());
        TreeNode { data, stat, listed: None, children: NameMap::default() }
    }

    fn shown(tree: &Tree) -> Vec<(String, String)> {
        let shown = |node: &TreeNode| String::from_utf8_lossy(node.data()).into_owned();
        tree.nodes().map(|(path, node)| (path, shown(node))).collect()
    }

    #[test]
    fn an_edit_leaves_earlier_copies_as_they_were() {
        let mut tree = Tree::new("/t".into());
        tree.put("/t/a", node("without a parent"));
        assert!(tree.is_empty());
        for path in ["/t", "/t/a", "/t/a/x", "/t/b"] {
            assert!(tree.has_parent_of(path));
            tree.put(path, node("1"));
        }
        let before = tree.clone();
        tree.update("/t/a/x", |node| node.data = Bytes::from("2"));
        tree.remove("/t/b");
        tree.remove("/t/c/d");
        let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(path, data)| ((*path).to_owned(), (*data).to_owned())).collect()
        };
        assert_eq!(shown(&before), pairs(&[("/t", "1"), ("/t/a", "1"), ("/t/a/x", "1"), ("/t/b", "1")]));
        assert_eq!(shown(&tree), pairs(&[("/t", "1"), ("/t/a", "1"), ("/t/a/x", "2")]));
        tree.remove("/t");
        assert!(tree.is_empty() && !tree.has_parent_of("/t/a") && tree.has_parent_of("/t"));
    }
}
