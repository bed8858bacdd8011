//! The tree as it was after an earlier transaction.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use foldhash::{HashMap, HashMapExt};
use zk_wire::{Acl, ByteString, Stat, Zxid, path};

use crate::core::Core;
use crate::core::access::shared_acl::SharedAcl;
use crate::core::history::undo::Undone;
use crate::core::image::{Image, ImageNode};
use crate::core::tree::Tree;
use crate::core::txn::NodeKind;

/// Nodes that have changed, each as it was before; `None` is one that was not there.
pub(in crate::core) type ChangedNodes = HashMap<ByteString, Option<ImageNode>>;

/// Tree as it was after an earlier transaction. It is a value: the server goes on, and it stays.
#[derive(Clone, Debug, PartialEq)]
pub struct PastTree {
    zxid: Zxid,
    nodes: BTreeMap<ByteString, PastNode>,
}

/// Node as it was.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PastNode {
    /// Data of the node. Null and empty are kept apart.
    pub data: Option<Bytes>,
    /// ACL of the node.
    pub acl: Arc<[Acl]>,
    /// Kind of node.
    pub kind: NodeKind,
    /// `Stat` of the node.
    pub stat: Stat,
}

/// Reason why the tree cannot be shown as it was.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NotKept {
    /// The history does not reach back to that transaction.
    #[error(
        "the tree after transaction {asked} is no longer known: {oldest} is the oldest that can be asked for; \
         a longer history (Builder::history) keeps more"
    )]
    TooOld {
        /// Transaction that was asked for.
        asked: Zxid,
        /// Oldest transaction that can be asked for.
        oldest: Zxid,
    },
    /// The transaction has not happened yet.
    #[error("there is no transaction {asked} yet: {last} is the last one")]
    NotYet {
        /// Transaction that was asked for.
        asked: Zxid,
        /// Last transaction.
        last: Zxid,
    },
    /// The server does not record its history.
    #[error("the history is off: start the server with one, see Builder::history")]
    NotRecorded,
}

impl PastTree {
    /// Transaction after which the tree was like this.
    #[must_use]
    pub fn zxid(&self) -> Zxid {
        self.zxid
    }

    /// Returns a node; `None` if there was no such node.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&PastNode> {
        self.nodes.get(path)
    }

    /// Returns the names of a node's children, sorted; `None` if there was no such node.
    #[must_use]
    pub fn children(&self, path: &str) -> Option<Vec<&str>> {
        self.nodes.get(path)?;
        let below = if path == "/" { "/".into() } else { format!("{path}/") };
        let (mut names, mut from) = (Vec::new(), below.clone());
        let mut bound = Bound::Excluded(&*from);
        while let Some((child, _)) = self.nodes.range::<str, _>((bound, Bound::Unbounded)).next() {
            let Some(name) = child.strip_prefix(&*below) else { break };
            let name = name.split('/').next().unwrap_or_default();
            names.push(name);
            // The character after the slash: nodes below the child are skipped.
            from = format!("{below}{name}0");
            bound = Bound::Included(&*from);
        }
        Some(names)
    }

    /// Returns all nodes, sorted by path.
    pub fn walk(&self) -> impl Iterator<Item = (&str, &PastNode)> {
        self.nodes.iter().map(|(path, node)| (&**path, node))
    }

    /// Returns the number of nodes, with the system's nodes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Returns `false`: there are always the system's nodes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }
}

/// Present state, and the nodes that were different then: what a [`PastTree`] is made of, outside of any lock.
#[derive(Debug)]
pub(crate) struct Past {
    zxid: Zxid,
    image: Image,
    changed: ChangedNodes,
}

impl Core {
    /// Returns the tree as it was after a transaction.
    ///
    /// # Errors
    /// [`NotKept`] if the history does not reach back so far.
    pub fn tree_at(&self, zxid: Zxid) -> Result<PastTree, NotKept> {
        self.past(zxid).map(Past::tree)
    }

    /// Collects what is needed for [`tree_at`](Self::tree_at).
    pub(crate) fn past(&self, zxid: Zxid) -> Result<Past, NotKept> {
        let changed = self.changed_since(zxid)?;
        Ok(Past { zxid, image: self.image(), changed })
    }

    /// Returns the nodes that transactions after `zxid` have changed, each as it was then; `None` is one that was not there.
    pub(in crate::core) fn changed_since(&self, zxid: Zxid) -> Result<ChangedNodes, NotKept> {
        if !self.history.is_on() {
            return Err(NotKept::NotRecorded);
        }
        let (history, last) = (&self.history, self.last_zxid);
        let oldest = history.undo.floor(&history.others, last);
        if zxid < oldest {
            return Err(NotKept::TooOld { asked: zxid, oldest });
        }
        if zxid > last {
            return Err(NotKept::NotYet { asked: zxid, last });
        }
        let mut changed = HashMap::new();
        // Backwards, so that the earliest value of each node is the last.
        let undone = history.undo.since(&history.others, zxid);
        undone.for_each(|before| put_back(before, &mut changed, &self.tree));
        Ok(changed)
    }
}

impl Past {
    pub(crate) fn tree(self) -> PastTree {
        let Self { zxid, image, changed } = self;
        let same = image.nodes.into_iter().filter(|node| !changed.contains_key(&node.path));
        let mut nodes: Vec<_> = same.collect();
        nodes.extend(changed.into_values().flatten());
        let mut children: HashMap<ByteString, i32> = HashMap::new();
        for node in &nodes {
            if let Some((parent, _)) = path::split(&node.path) {
                *children.entry(node.path.slice_ref(&node.path[..parent.len()])).or_default() += 1;
            }
        }
        let nodes = nodes.into_iter().map(|node| {
            let count = children.get(&node.path).copied().unwrap_or(0);
            PastNode::new(node, count)
        });
        PastTree { zxid, nodes: nodes.collect() }
    }
}

impl PastNode {
    fn new(image: ImageNode, num_children: i32) -> (ByteString, Self) {
        let acl = Arc::clone(&image.acl);
        let (path, node) = image.into_node(SharedAcl::new(&acl));
        let (stat, kind) = (node.stat_with(num_children), node.kind());
        (path, Self { data: node.data, acl, kind, stat })
    }
}

/// Undoes a change.
fn put_back(change: Undone, nodes: &mut HashMap<ByteString, Option<ImageNode>>, tree: &Tree) {
    match change {
        Undone::Created { path, pzxid, created_children } => {
            if let Some(parent) = parent_of(&path).and_then(|parent| entry(nodes, tree, &parent)) {
                parent.pzxid = pzxid;
                parent.created_children = created_children;
            }
            nodes.insert(path, None);
        }
        Undone::Deleted { node, pzxid } => {
            if let Some(parent) = parent_of(&node.path).and_then(|parent| entry(nodes, tree, &parent)) {
                parent.pzxid = pzxid;
            }
            nodes.insert(node.path.clone(), Some(node));
        }
        Undone::Data { path, data, version, mzxid, mtime } => {
            if let Some(node) = entry(nodes, tree, &path) {
                (node.data, node.version, node.mzxid, node.mtime) = (data, version, mzxid, mtime);
            }
        }
        Undone::Quietly { path, data } => {
            if let Some(node) = entry(nodes, tree, &path) {
                node.data = data;
            }
        }
        Undone::Acl { path, acl, version } => {
            if let Some(node) = entry(nodes, tree, &path) {
                (node.acl, node.aversion) = (acl, version);
            }
        }
    }
}

fn parent_of(path: &ByteString) -> Option<ByteString> {
    let (parent, _) = path::split(path)?;
    Some(path.slice_ref(&path[..parent.len()]))
}

/// Returns a node with the changes that are undone already.
fn entry<'a>(
    nodes: &'a mut HashMap<ByteString, Option<ImageNode>>,
    tree: &Tree,
    path: &ByteString,
) -> Option<&'a mut ImageNode> {
    let present = || tree.node(path).map(|node| ImageNode::of(path.clone(), node));
    nodes.entry(path.clone()).or_insert_with(present).as_mut()
}
