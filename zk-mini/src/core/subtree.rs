//! Parts of the tree to a depth, as they are or were: what can be shown of a tree of any size.

use std::sync::Arc;

use bytes::Bytes;
use foldhash::{HashMap, HashMapExt, HashSet};
use zk_wire::path::{self, PathError};
use zk_wire::{Acl, ByteString, Stat, Zxid};

use crate::core::Core;
use crate::core::access::shared_acl::SharedAcl;
use crate::core::history::{ChangedNodes, NotKept};
use crate::core::image::ImageNode;
use crate::core::txn::NodeKind;

/// Limits of a [`Subtree`]. They bound the time for which clients wait, too: nothing is left out silently.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reach {
    /// Number of levels below the node; 0 is the node alone.
    pub depth: usize,
    /// Maximum number of nodes.
    pub nodes: usize,
    /// Maximum number of bytes of paths and data. A single node may have more.
    pub bytes: usize,
}

impl Default for Reach {
    /// Returns one level, with up to 50,000 nodes and 32 MiB.
    fn default() -> Self {
        Self { depth: 1, nodes: 50_000, bytes: 32 << 20 }
    }
}

/// A node and the nodes below it, down to a depth.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Subtree {
    /// Transaction after which it was like this.
    pub zxid: Zxid,
    /// The nodes, each followed by those below it; siblings are sorted. The first one is the node that was asked for.
    pub nodes: Vec<SubtreeNode>,
}

/// Node of a [`Subtree`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SubtreeNode {
    /// Path of the node.
    pub path: ByteString,
    /// Number of levels below the node that was asked for.
    pub depth: usize,
    /// Data of the node. Null and empty are kept apart.
    pub data: Option<Bytes>,
    /// ACL of the node.
    pub acl: Arc<[Acl]>,
    /// Kind of node.
    pub kind: NodeKind,
    /// `Stat` of the node.
    pub stat: Stat,
    /// Number of watches on this very path, now.
    pub watches: usize,
}

/// Reason why there is no such subtree.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each variant has a text that explains its fields")]
pub enum NoSubtree {
    /// The path cannot name a node.
    #[error("{path:?} cannot name a node: {source}")]
    BadPath { path: String, source: PathError },
    /// There is no such node.
    #[error("{path} does not exist")]
    NoNode { path: String },
    /// There was no such node.
    #[error("{path} did not exist after transaction {zxid}")]
    NoNodeThen { path: String, zxid: Zxid },
    /// There are more nodes than wanted.
    #[error(
        "{path} has more than {nodes} nodes within {depth} levels: ask for fewer levels, or for a node below it"
    )]
    TooManyNodes { path: String, nodes: usize, depth: usize },
    /// The nodes have more data than wanted.
    #[error(
        "{path} has more than {bytes} bytes of paths and data within {depth} levels: ask for fewer levels, or for a node \
         below it"
    )]
    TooManyBytes { path: String, bytes: usize, depth: usize },
    /// The tree cannot be shown as it was.
    #[error(transparent)]
    NotKept(#[from] NotKept),
}

impl Core {
    /// Returns a node and the nodes below it.
    ///
    /// # Errors
    /// [`NoSubtree`]
    pub fn subtree(&self, path: &str, reach: &Reach) -> Result<Subtree, NoSubtree> {
        check(path)?;
        let no_node = || NoSubtree::NoNode { path: path.into() };
        View { core: self, then: None }.subtree(self.last_zxid, path, reach, no_node)
    }

    /// Returns a node and the nodes below it as they were after a transaction.
    ///
    /// # Errors
    /// [`NoSubtree`]
    pub fn subtree_at(&self, zxid: Zxid, path: &str, reach: &Reach) -> Result<Subtree, NoSubtree> {
        check(path)?;
        let then = Then::new(self, self.changed_since(zxid)?);
        let no_node = || NoSubtree::NoNodeThen { path: path.into(), zxid };
        View { core: self, then: Some(then) }.subtree(zxid, path, reach, no_node)
    }
}

fn check(path: &str) -> Result<(), NoSubtree> {
    path::validate(path).map_err(|source| NoSubtree::BadPath { path: path.into(), source })
}

/// The tree as it is, or as it was.
struct View<'a> {
    core: &'a Core,
    then: Option<Then>,
}

/// Nodes that have changed since then.
struct Then {
    changed: ChangedNodes,
    /// Children that only one of the two trees has, by the path of their parent; `true` for those of then.
    moved: HashMap<ByteString, Vec<(ByteString, bool)>>,
}

impl Then {
    fn new(core: &Core, changed: ChangedNodes) -> Self {
        let mut moved: HashMap<ByteString, Vec<_>> = HashMap::new();
        for (path, before) in &changed {
            let was = before.is_some();
            if let Some((parent, _)) = path::split(path).filter(|_| was != core.tree.node(path).is_some()) {
                let parent = path.slice_ref(&path[..parent.len()]);
                moved.entry(parent).or_default().push((path.clone(), was));
            }
        }
        Self { changed, moved }
    }

    fn moved(&self, path: &str) -> &[(ByteString, bool)] {
        self.moved.get(path).map_or(&[], Vec::as_slice)
    }
}

impl View<'_> {
    fn subtree(
        &self,
        zxid: Zxid,
        path: &str,
        reach: &Reach,
        no_node: impl FnOnce() -> NoSubtree,
    ) -> Result<Subtree, NoSubtree> {
        let Reach { depth, .. } = *reach;
        let path = ByteString::from(path);
        let too_many =
            || NoSubtree::TooManyNodes { path: path.to_string(), nodes: reach.nodes, depth: reach.depth };
        let (mut nodes, mut bytes) = (Vec::new(), 0_usize);
        let mut open = vec![(path.clone(), 0)];
        while let Some((next, level)) = open.pop() {
            let Some(node) = self.node(&next, level) else { continue };
            bytes = bytes.saturating_add(next.len() + node.data.as_ref().map_or(0, Bytes::len));
            if bytes > reach.bytes && !nodes.is_empty() {
                return Err(NoSubtree::TooManyBytes { path: path.to_string(), bytes: reach.bytes, depth });
            }
            if level < depth {
                let children = usize::try_from(node.stat.num_children).unwrap_or(usize::MAX);
                if children.saturating_add(open.len() + nodes.len() + 1) > reach.nodes {
                    return Err(too_many());
                }
                let first = open.len();
                open.extend(self.children(&next).into_iter().map(|child| (child, level + 1)));
                open[first..].reverse();
            }
            nodes.push(node);
        }
        if nodes.is_empty() { Err(no_node()) } else { Ok(Subtree { zxid, nodes }) }
    }

    fn node(&self, path: &ByteString, depth: usize) -> Option<SubtreeNode> {
        let watches = self.core.watches.count_at(path);
        let present = self.core.tree.node(path);
        let num_children = present.map_or(0, |node| node.stat().num_children);
        let changed = self.then.as_ref().and_then(|then| Some((then, then.changed.get(path)?)));
        let Some((then, before)) = changed else {
            let node = present?;
            let (data, acl) = (node.data.clone(), Arc::clone(node.acl.entries()));
            let stat = node.stat();
            return Some(SubtreeNode {
                path: path.clone(),
                depth,
                data,
                acl,
                kind: node.kind(),
                stat,
                watches,
            });
        };
        let before: ImageNode = before.clone()?;
        let change = |moved: &(ByteString, bool)| if moved.1 { 1 } else { -1 };
        let num_children = num_children + then.moved(path).iter().map(change).sum::<i32>();
        let acl = Arc::clone(&before.acl);
        let (path, node) = before.into_node(SharedAcl::new(&acl));
        let (stat, kind) = (node.stat_with(num_children), node.kind());
        Some(SubtreeNode { path, depth, data: node.data, acl, kind, stat, watches })
    }

    /// Returns the paths of a node's children, sorted.
    fn children(&self, path: &str) -> Vec<ByteString> {
        let moved = self.then.as_ref().map_or(&[][..], |then| then.moved(path));
        let names = self.core.tree.get(path).into_iter().flat_map(|node| node.children().iter());
        let mut children: Vec<_> = names.map(|name| ByteString::from(path::join(path, name))).collect();
        if !moved.is_empty() {
            let new: HashSet<_> = moved.iter().filter(|(_, was)| !was).map(|(path, _)| path).collect();
            children.retain(|child| !new.contains(child));
            children.extend(moved.iter().filter(|(_, was)| *was).map(|(path, _)| path.clone()));
            children.sort_unstable();
        }
        children
    }
}
