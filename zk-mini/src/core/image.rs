//! The whole state as a value, to be kept and taken up again. Connections and their watches are no part of it.

use std::sync::Arc;

use bytes::Bytes;
use zk_wire::{Acl, ByteString, Millis, SessionId, UnixMillis, Version, Zxid};

use super::node::Node;
use super::txn::NodeKind;
use super::{Config, Core, Now};

/// The state between two transactions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Image {
    /// The last transaction that it shows.
    pub last_zxid: Zxid,
    /// Sessions and the timeouts that they began with.
    pub sessions: Vec<(SessionId, Millis)>,
    /// All nodes, parents before their children.
    pub nodes: Vec<ImageNode>,
    /// The digest of the tree, if the server keeps one.
    pub digest: Option<u64>,
}

/// A node of an [`Image`].
#[derive(Clone, Debug, PartialEq)]
pub struct ImageNode {
    /// Its path.
    pub path: ByteString,
    /// Its data; null and empty are kept apart.
    pub data: Option<Bytes>,
    /// Who may do what.
    pub acl: Arc<[Acl]>,
    /// What becomes of it by itself.
    pub kind: NodeKind,
    /// The transaction that created it.
    pub czxid: Zxid,
    /// The transaction that set its data last.
    pub mzxid: Zxid,
    /// The transaction that created or deleted a child last.
    pub pzxid: Zxid,
    /// When it was created.
    pub ctime: UnixMillis,
    /// When its data was set last.
    pub mtime: UnixMillis,
    /// Of its data.
    pub version: Version,
    /// Of its list.
    pub aversion: Version,
    /// Children ever created.
    pub created_children: i32,
}

impl Core {
    /// The state as it is. Data and lists are shared, not copied.
    #[must_use]
    pub fn image(&self) -> Image {
        let mut nodes = Vec::with_capacity(self.tree.len());
        self.tree.each(|path, node| nodes.push(ImageNode::of(path, node)));
        let (last_zxid, sessions, digest) = (self.last_zxid, self.sessions.timeouts(), self.digest());
        Image { last_zxid, sessions, nodes, digest }
    }

    /// A server that goes on from an image: hand in the transactions after it with [`replay`](Self::replay), then
    /// call [`recovered`](Self::recovered).
    #[must_use]
    pub fn restore(config: Config, now: Now, image: Image) -> Self {
        let mut core = Self::new(config);
        core.last_zxid = image.last_zxid;
        for node in image.nodes {
            let (path, node) = node.into_node();
            core.tree.restore(path, node);
        }
        for (id, timeout) in image.sessions {
            core.sessions.create(id, timeout, now.mono);
        }
        core
    }

    /// The digest of the tree, if the server keeps one: Apache ZooKeeper's, version 2.
    #[must_use]
    pub fn digest(&self) -> Option<u64> {
        self.tree.digest()
    }

    /// Ends what a restored state has of sessions that are not in it. A snapshot of Apache ZooKeeper, taken while the
    /// server runs, can have such nodes; that server does the same when it starts.
    pub fn recovered(&mut self) {
        let orphaned: Vec<_> = self.tree.owners().filter(|id| self.sessions.get(*id).is_none()).collect();
        for session in orphaned {
            let paths: Vec<_> = self.tree.ephemerals(session).cloned().collect();
            for path in paths {
                self.tree.delete(&path, self.last_zxid, &mut self.effects.events);
            }
            self.effects.clear();
        }
    }
}

impl ImageNode {
    fn of(path: &ByteString, node: &Node) -> Self {
        Self {
            path: path.clone(),
            data: node.data.clone(),
            acl: Arc::clone(&node.acl),
            kind: node.kind,
            czxid: node.czxid,
            mzxid: node.mzxid,
            pzxid: node.pzxid,
            ctime: node.ctime,
            mtime: node.mtime,
            version: node.version,
            aversion: node.aversion,
            created_children: node.created_children,
        }
    }

    fn into_node(self) -> (ByteString, Node) {
        let mut node = Node::new(self.data, self.acl, self.kind, self.czxid, self.ctime);
        node.mzxid = self.mzxid;
        node.pzxid = self.pzxid;
        node.mtime = self.mtime;
        node.version = self.version;
        node.aversion = self.aversion;
        node.created_children = self.created_children;
        (self.path, node)
    }
}
