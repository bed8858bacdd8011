//! Tree of nodes. It applies transactions without checks: all decisions are made before. A method that returns a
//! `Stat` returns that of the node after the change, or the default if there is no such node.

pub(crate) mod before;
pub(crate) mod below;
pub(crate) mod digest;
pub(crate) mod name_set;
pub(crate) mod node;
pub(crate) mod nodes;
pub(crate) mod places;
pub(crate) mod quota;
pub(crate) mod weight;

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use foldhash::{HashMap, HashMapExt};
use zk_wire::{Acl, ByteString, EventType, Perms, SessionId, Stat, UnixMillis, Version, Zxid, path};

use crate::core::access::acl_table::AclTable;
use crate::core::access::shared_acl::SharedAcl;
use crate::core::events::Observers;
use crate::core::tree::before::Before;
use crate::core::tree::digest::TreeDigest;
use crate::core::tree::name_set::NameSet;
use crate::core::tree::node::{Family, NamedNode, Node};
use crate::core::tree::nodes::Nodes;
use crate::core::tree::quota::Quotas;
use crate::core::tree::weight::{Weight, signed};
use crate::core::txn::{CreateNode, NodeKind};

/// Nodes that always exist and cannot be deleted.
pub const SYSTEM_NODES: [&str; 4] = ["/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"];

/// All nodes with their indexes.
#[derive(Debug)]
pub(crate) struct Tree {
    nodes: Nodes,
    acls: AclTable,
    /// Ephemeral nodes of each session that has had one: a lock's only node comes and goes.
    ephemerals: HashMap<SessionId, NameSet>,
    ephemeral_count: usize,
    /// Containers and nodes with a time to live.
    reapable: BTreeSet<ByteString>,
    /// Bytes of all paths, and of all data.
    path_bytes: usize,
    data_bytes: usize,
    digest: TreeDigest,
    pub(crate) quotas: Quotas,
    /// Part of a deleted node that the next node with a child takes over: nodes and their children come and go.
    spare: Option<Box<Family>>,
}

impl Tree {
    /// Creates a tree with the system's nodes and their `Stat`s as in ZooKeeper.
    pub(crate) fn new(digests: bool, seed: u64) -> Self {
        let mut tree = Self {
            nodes: Nodes::new(seed),
            acls: AclTable::default(),
            ephemerals: HashMap::new(),
            ephemeral_count: 0,
            reapable: BTreeSet::new(),
            path_bytes: 0,
            data_bytes: 0,
            digest: TreeDigest::new(digests),
            quotas: Quotas::default(),
            spare: None,
        };
        let reading = tree.share(&[Acl { perms: Perms::READ, ..Acl::open() }].into());
        let everything = tree.share(&[Acl::open()].into());
        for path in SYSTEM_NODES {
            let is_config = path == "/zookeeper/config";
            let acl = if is_config { &reading } else { &everything }.clone();
            let mut node = Node::new(Some(Bytes::new()), acl, NodeKind::Persistent, Zxid(0), UnixMillis(0));
            if is_config {
                node.aversion = Version(-1);
            }
            tree.restore(ByteString::from_static(path), node);
        }
        tree.weigh_all();
        tree
    }

    /// Returns the node at a path. The empty path is another name of the root.
    pub(crate) fn get(&self, path: &str) -> Option<&Node> {
        self.node(if path.is_empty() { "/" } else { path })
    }

    /// Returns the node at a path. There is none at the empty path.
    pub(crate) fn node(&self, path: &str) -> Option<&Node> {
        self.entry(path).map(|(_, node)| node)
    }

    /// Returns the node at a path with the tree's own copy of the path.
    pub(crate) fn entry(&self, path: &str) -> Option<&NamedNode> {
        self.entry_of(path.as_bytes())
    }

    /// Returns the same by the bytes of a path: if they are those of a node's, they are valid UTF-8.
    #[inline]
    pub(crate) fn entry_of(&self, path: &[u8]) -> Option<&NamedNode> {
        self.nodes.get(path)
    }

    /// Returns the node that a request writes with the tree's own copy of the path. The tree remembers where it is.
    pub(crate) fn written(&self, path: &str) -> Option<&NamedNode> {
        self.nodes.written(path)
    }

    /// Returns the parent of the node that a request writes. The tree remembers where it is.
    pub(crate) fn parent(&self, path: &str) -> Option<&Node> {
        self.nodes.parent(path)
    }

    pub(crate) fn acls(&self) -> &AclTable {
        &self.acls
    }

    /// Returns the copy of a list that all nodes with it share.
    pub(crate) fn share(&mut self, acl: &Arc<[Acl]>) -> SharedAcl {
        self.acls.share(acl)
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn ephemeral_count(&self) -> usize {
        self.ephemeral_count
    }

    /// Returns the bytes of all paths and data.
    pub(crate) fn data_size(&self) -> usize {
        self.path_bytes + self.data_bytes
    }

    /// Returns the bytes of all data.
    pub(crate) fn data_bytes(&self) -> usize {
        self.data_bytes
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter()
    }

    pub(crate) fn node_mut(&mut self, path: &str) -> Option<&mut Node> {
        self.nodes.get_mut(path)
    }

    /// Returns the digest of the tree, if it is maintained.
    pub(crate) fn digest(&self) -> Option<u64> {
        self.digest.get()
    }

    /// Returns the ephemeral nodes of a session, sorted.
    pub(crate) fn ephemerals(&self, session: SessionId) -> Vec<ByteString> {
        self.ephemerals.get(&session).into_iter().flat_map(NameSet::iter).map(ByteString::from).collect()
    }

    /// Returns a copy of the set of a session's ephemeral nodes, which takes far less time than a list of them.
    pub(crate) fn ephemeral_set(&self, session: SessionId) -> NameSet {
        self.ephemerals.get(&session).cloned().unwrap_or_default()
    }

    /// Returns the ephemeral nodes of a session whose paths begin with `prefix`, sorted.
    pub(crate) fn ephemerals_with_prefix(
        &self,
        session: SessionId,
        prefix: &str,
    ) -> impl Iterator<Item = &str> {
        self.ephemerals.get(&session).into_iter().flat_map(move |paths| paths.with_prefix(prefix))
    }

    /// Returns the number of a session's ephemeral nodes.
    pub(crate) fn ephemerals_of(&self, session: SessionId) -> usize {
        self.ephemerals.get(&session).map_or(0, NameSet::len)
    }

    /// Returns the first container or node with a time to live after `last`, in the order of paths.
    pub(crate) fn reapable_after(&self, last: Option<&ByteString>) -> Option<&ByteString> {
        match last {
            Some(last) => {
                self.reapable.range::<ByteString, _>((Bound::Excluded(last), Bound::Unbounded)).next()
            }
            None => self.reapable.first(),
        }
    }

    /// Returns the containers and the nodes with a time to live.
    pub(crate) fn reapable(&self) -> impl Iterator<Item = &ByteString> {
        self.reapable.iter()
    }

    /// Creates a node. In a replay after a fuzzy snapshot it may exist already; then it stays. If its parent does not
    /// list it, it is left over from a deleted parent, and is replaced. Returns the path, too.
    pub(crate) fn create(
        &mut self,
        new: CreateNode,
        zxid: Zxid,
        time: UnixMillis,
        observers: &mut Observers<'_>,
    ) -> (ByteString, Stat) {
        let CreateNode { path, data, acl, kind, parent_cversion } = new;
        let Some((parent_path, name)) = parent_and_name(&path) else { return (path, Stat::default()) };
        let Some(parent) = self.nodes.parent_mut(parent_path) else { return (path, Stat::default()) };
        parent.family_or(&mut self.spare);
        // As in ZooKeeper the counter never decreases, even if it overflows.
        let (pzxid, created_children) = (parent.pzxid(), parent.created_children());
        if parent_cversion > created_children {
            self.digest.remove(parent_path, parent);
            parent.set_history_of_children(parent_cversion, zxid);
            self.digest.add(parent_path, parent);
        }
        let family = parent.family();
        if !family.children.insert(name) {
            self.complete_acl(&path, &acl);
            return (path, Stat::default());
        }
        let acl = self.acls.share(&acl);
        let node = Node::new(data, acl, kind, zxid, time);
        // As it is read back: the owner's number of a session may also be that of a time to live.
        let (stat, data_len, kind) = (node.stat(), node.data_len(), node.kind());
        family.below += Weight::of_one(data_len);
        observers.note(EventType::NODE_CREATED, &path, &path, &node.acl);
        observers.note(EventType::NODE_CHILDREN_CHANGED, &path, &path[..parent_path.len()], &parent.acl);
        self.weigh_above_parent(parent_path, Weight::of_one(data_len));
        // The path of a replayed transaction is a part of its log, which must not stay in memory for it.
        let kept = if observers.are_none() { ByteString::from(&*path) } else { path.clone() };
        self.insert(kept, node);
        self.index(&path, kind);
        self.quota_created(&path, data_len, observers);
        observers.changed(&path, 0, Before::Created { kind, data_len, pzxid, created_children });
        (path, stat)
    }

    /// Deletes a node.
    pub(crate) fn delete(&mut self, path: &str, zxid: Zxid, observers: &mut Observers<'_>) {
        if let Some((parent_path, weight)) = self.unlink(path, zxid, observers) {
            self.weigh_above_parent(parent_path, -weight);
        }
    }

    /// Deletes nodes, one after the other.
    pub(crate) fn delete_all(&mut self, paths: &[ByteString], zxid: Zxid, observers: &mut Observers<'_>) {
        let mut gone: HashMap<&str, Weight> = HashMap::new();
        for path in paths {
            if let Some((parent_path, weight)) = self.unlink(path, zxid, observers) {
                *gone.entry(parent_path).or_default() += -weight;
            }
        }
        self.weigh_above_all(gone);
    }

    /// Deletes a node. Returns its weight, to be subtracted above its parent, and the parent's path. In a replay after a fuzzy snapshot
    /// the node may not exist; the parent is still updated.
    #[inline]
    fn unlink<'a>(
        &mut self,
        path: &'a str,
        zxid: Zxid,
        observers: &mut Observers<'_>,
    ) -> Option<(&'a str, Weight)> {
        let mut deleted = self.nodes.remove(path);
        if let Some((path, node)) = &deleted {
            self.forget(path, node);
            observers.note(EventType::NODE_DELETED, path, path, &node.acl);
        }
        let (parent_path, name) = path::split(path)?;
        let parent = self.nodes.parent_mut(parent_path)?;
        let pzxid = parent.pzxid();
        self.digest.remove(parent_path, parent);
        let family = parent.family();
        family.children.remove(name);
        family.pzxid = pzxid.max(zxid);
        self.digest.add(parent_path, parent);
        // The rest is only for an existing node.
        let (path, node) = deleted.as_mut()?;
        let weight = Weight::of_one(node.data_len());
        parent.family().below += -weight;
        let watched = &path[..parent_path.len()];
        observers.note(EventType::NODE_CHILDREN_CHANGED, path, watched, &parent.acl);
        let data_len = node.data_len();
        self.quota_deleted(path, data_len, observers);
        observers.changed(path, 0, Before::Deleted { node, pzxid });
        if let Some(family) = node.leave_family() {
            self.spare = Some(family);
        }
        Some((parent_path, weight))
    }

    /// Deletes the ephemeral nodes of a session, which will have no more. Returns `false` if there were none.
    pub(crate) fn delete_ephemerals(
        &mut self,
        session: SessionId,
        zxid: Zxid,
        observers: &mut Observers<'_>,
    ) -> bool {
        let paths = self.ephemerals(session);
        self.delete_all(&paths, zxid, observers);
        self.ephemerals.remove(&session);
        !paths.is_empty()
    }

    /// Sets a node's data.
    pub(crate) fn set_data(
        &mut self,
        path: &ByteString,
        data: Option<Bytes>,
        version: Version,
        zxid: Zxid,
        time: UnixMillis,
        observers: &mut Observers<'_>,
    ) -> Stat {
        let Some(node) = self.nodes.written_mut(path) else { return Stat::default() };
        let (old, new) = (node.data_len(), data.as_ref().map_or(0, Bytes::len));
        self.data_bytes = self.data_bytes - old + new;
        self.digest.remove(path, node);
        let data = node.set_data(data);
        let data = data.as_ref();
        let before = Before::Data { data, version: node.version, mzxid: node.mzxid, mtime: node.mtime };
        node.version = version;
        node.mzxid = zxid;
        node.mtime = time;
        self.digest.add(path, node);
        observers.note(EventType::NODE_DATA_CHANGED, path, path, &node.acl);
        let stat = node.stat();
        if old != new {
            self.weigh_above(path, Weight::of_change(old, new));
        }
        observers.changed(path, version.0, before);
        if old != new {
            self.quota_changed(path, signed(new) - signed(old), 0, observers);
        }
        stat
    }

    /// Puts back a node of a snapshot. An existing one is replaced and its children stay. A node without a parent is
    /// left out. The node's list is a [shared](Self::share) one; [`weigh_all`](Self::weigh_all) is to follow the last node.
    pub(crate) fn restore(&mut self, path: ByteString, mut node: Node) {
        // Most nodes of a snapshot are new to their parent: these need no look for one that they replace.
        let mut is_new = false;
        if path != "/" {
            let Some((parent_path, name)) = parent_and_name(&path) else { return };
            let Some(parent) = self.nodes.get_mut(parent_path) else { return };
            is_new = parent.family().children.insert(name);
        }
        if !is_new && let Some(present) = self.nodes.get_mut(&path) {
            node.adopt(present);
        }
        self.quota_restored(&path);
        match node.kind() {
            // Most nodes are in no index: their path needs no count of owners.
            NodeKind::Persistent => self.insert(path, node),
            kind => {
                self.insert(path.clone(), node);
                self.index(&path, kind);
            }
        }
    }

    /// Returns the sessions that have ephemeral nodes.
    pub(crate) fn owners(&self) -> impl Iterator<Item = SessionId> {
        self.ephemerals.iter().filter(|(_, paths)| !paths.is_empty()).map(|(session, _)| *session)
    }

    /// Sets the data of a node with quota counts. Neither version nor times change, and there is no event.
    pub(crate) fn set_quietly(&mut self, path: &str, data: Bytes, observers: &mut Observers<'_>) {
        let Some(node) = self.nodes.get_mut(path) else { return };
        let (old, new) = (node.data_len(), data.len());
        self.data_bytes = self.data_bytes - old + new;
        let data = node.set_data(Some(data));
        observers.changed(path, 0, Before::Quietly { data: data.as_ref() });
        if old != new {
            self.weigh_above(path, Weight::of_change(old, new));
        }
    }

    /// Sets a node's ACL. There is no event.
    pub(crate) fn set_acl(
        &mut self,
        path: &ByteString,
        acl: &Arc<[Acl]>,
        version: Version,
        observers: &mut Observers<'_>,
    ) -> Stat {
        let Some(node) = self.nodes.written_mut(path) else { return Stat::default() };
        self.digest.remove(path, node);
        let acl = std::mem::replace(&mut node.acl, self.acls.share(acl));
        let before = std::mem::replace(&mut node.aversion, version);
        self.digest.add(path, node);
        observers.changed(path, version.0, Before::Acl { acl: &acl, version: before });
        node.stat()
    }

    /// Returns a node with an unknown ACL: its creation was missing after a fuzzy snapshot.
    pub(crate) fn without_acl(&self) -> Option<&str> {
        // The common case, without a walk over all nodes.
        if !self.acls.contains(&[]) {
            return None;
        }
        self.iter().find(|(_, node)| node.acl.is_empty()).map(|(path, _)| path)
    }

    /// Sets the ACL of a node in a fuzzy snapshot that was written before the ACL.
    fn complete_acl(&mut self, path: &str, acl: &Arc<[Acl]>) {
        if let Some(node) = self.nodes.get_mut(path).filter(|node| node.acl.is_empty()) {
            node.acl = self.acls.share(acl);
        }
    }

    /// Inserts a node into the map, in place of an existing one. [`index`](Self::index) is to follow.
    fn insert(&mut self, path: ByteString, node: Node) {
        self.path_bytes += path.len();
        self.data_bytes += node.data_len();
        self.digest.add(&path, &node);
        if let Some((path, present)) = self.nodes.insert(path, node) {
            self.forget(&path, &present);
        }
    }

    /// Adds a node to the index of its kind.
    fn index(&mut self, path: &str, kind: NodeKind) {
        match kind {
            NodeKind::Persistent => {}
            NodeKind::Ephemeral(session) => {
                self.ephemerals.entry(session).or_default().insert(path);
                self.ephemeral_count += 1;
            }
            NodeKind::Container | NodeKind::Ttl(_) => {
                self.reapable.insert(path.into());
            }
        }
    }

    /// Removes a node that is no longer in the map from the indexes.
    fn forget(&mut self, path: &str, node: &Node) {
        self.path_bytes -= path.len();
        self.data_bytes -= node.data_len();
        self.digest.remove(path, node);
        match node.kind() {
            NodeKind::Persistent => {}
            NodeKind::Ephemeral(session) => self.forget_ephemeral(session, path),
            NodeKind::Container | NodeKind::Ttl(_) => {
                self.reapable.remove(path);
            }
        }
    }

    fn forget_ephemeral(&mut self, session: SessionId, path: &str) {
        if let Some(paths) = self.ephemerals.get_mut(&session) {
            self.ephemeral_count -= usize::from(paths.remove(path));
        }
    }
}

/// Returns a node's parent and name; `None` for the root and for text that is not a path, such as "//", which a damaged
/// file can contain.
fn parent_and_name(path: &str) -> Option<(&str, &str)> {
    let is_path = |(parent, name): &(&str, &str)| {
        !name.is_empty() && (*parent != "/" || path.len() == parent.len() + name.len())
    };
    path::split(path).filter(is_path)
}

/// Returns the parent's path as a prefix of the child's. That of "/a" is "/".
pub(crate) fn parent_name(path: &str) -> &str {
    path::split(path).map_or(path, |(parent, _)| &path[..parent.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_without_ephemerals_owns_nothing_and_leaves_nothing() {
        let (mut tree, session) = (Tree::new(false, 1), SessionId(7));
        let observers = &mut Observers::none();
        for cversion in 1..3 {
            let (data, acl) = (None, [Acl::open()].into());
            let kind = NodeKind::Ephemeral(session);
            let new = CreateNode { path: "/lock".into(), data, acl, kind, parent_cversion: cversion };
            tree.create(new, Zxid(1), UnixMillis(1), observers);
            assert!(tree.owners().eq([session]) && tree.ephemerals_of(session) == 1);
            tree.delete("/lock", Zxid(2), observers);
            assert_eq!(
                (tree.owners().count(), tree.ephemerals_of(session), tree.ephemeral_count()),
                (0, 0, 0)
            );
        }
        assert!(!tree.delete_ephemerals(session, Zxid(3), observers));
        assert!(tree.ephemerals.is_empty());
    }
}
