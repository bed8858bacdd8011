//! The whole state as a value, to be kept and taken up again. Connections and their watches are no part of it.

use std::sync::Arc;

use bytes::Bytes;
use zk_wire::{Acl, ByteString, Millis, SessionId, UnixMillis, Version, Zxid, path};

use crate::core::access::shared_acl::SharedAcl;
use crate::core::events::Audience;
use crate::core::tree::node::Node;
use crate::core::txn::NodeKind;
use crate::core::{Config, Core, Now};

/// The state between two transactions; or a *fuzzy* one, as ZooKeeper says, which shows in part what came later. Either
/// becomes the state that there was when the transactions after `last_zxid` are [replayed](Core::replay).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Image {
    /// The last transaction that it shows in full.
    pub last_zxid: Zxid,
    /// Sessions and the timeouts that they began with.
    pub sessions: Vec<(SessionId, Millis)>,
    /// All nodes, parents before their children.
    pub nodes: Vec<ImageNode>,
    /// The digest of the tree after the last transaction of which anything is shown, if the server keeps one.
    pub digest: Option<(Zxid, u64)>,
}

/// An [`Image`] that is being taken in steps, between which the server goes on.
#[derive(Debug)]
pub struct ImageWalk {
    image: Image,
    /// The nodes whose children are being visited, each with the last one that was.
    open: Vec<(ByteString, Option<ByteString>)>,
}

/// A node of an [`Image`].
#[derive(Clone, Debug, PartialEq)]
pub struct ImageNode {
    /// Its path.
    pub path: ByteString,
    /// Its data; null and empty are kept apart.
    pub data: Option<Bytes>,
    /// Who may do what; empty if that is not known before what followed is replayed.
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
        let mut walk = ImageWalk::new(self);
        walk.visit(self, usize::MAX);
        walk.end(self)
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

    /// Ends a recovery: everything that followed the image has been replayed. Counts what has a quota, and deletes the
    /// nodes of sessions that are not there, both as Apache ZooKeeper does when it starts. Whether there were any such
    /// nodes: no transaction says that they have gone.
    pub fn recovered(&mut self, now: Now) -> bool {
        self.sessions.begin_anew(now.wall, self.last_zxid);
        let orphaned: Vec<_> = self.tree.owners().filter(|id| self.sessions.get(*id).is_none()).collect();
        for session in &orphaned {
            self.tree.delete_ephemerals(*session, self.last_zxid, &mut Audience::nobody());
        }
        self.tree.weigh_all();
        self.tree.recount();
        !orphaned.is_empty()
    }

    /// A node of which is not known who may do what, in spite of all that was replayed: it must not be served.
    #[must_use]
    pub fn without_acl(&self) -> Option<ByteString> {
        self.tree.without_acl().cloned()
    }
}

impl ImageWalk {
    /// Begins with the state as it is: the image will be one from which to go on with the next transaction.
    #[must_use]
    pub fn new(core: &Core) -> Self {
        let (last_zxid, sessions) = (core.last_zxid, core.sessions.timeouts());
        let nodes = Vec::with_capacity(core.tree.len());
        let image = Image { last_zxid, sessions, nodes, digest: None };
        Self { image, open: Vec::new() }
    }

    /// Takes up to `count` nodes more, as they are now, parents before their children, siblings in their order. Whether
    /// that was all. Begins anew if the end of a session has come since that does not list the session's nodes: its replay
    /// finds those nodes only that the walk has met, and leaves the parents of the others as they were.
    pub fn visit(&mut self, core: &Core, count: usize) -> bool {
        if core.unlisted > self.image.last_zxid {
            *self = Self::new(core);
        }
        if self.image.nodes.is_empty() {
            self.take(core, "/");
        }
        for _ in 0..count {
            let Some((path, last)) = self.open.last_mut() else { return true };
            // Who has come before `last` since, or has gone with its parent, is in the transactions that follow.
            let parent = core.tree.get(path);
            let Some(name) = parent.and_then(|parent| parent.children.after(last.as_deref())) else {
                self.open.pop();
                continue;
            };
            *last = Some(name.clone());
            let child = path::join(path, name);
            self.take(core, &child);
        }
        self.open.is_empty()
    }

    fn take(&mut self, core: &Core, path: &str) {
        let Some((path, node)) = core.tree.entry(path) else { return };
        // One that has been created since follows, and Apache ZooKeeper does not count a child twice that is there already.
        if node.czxid > self.image.last_zxid {
            return;
        }
        self.image.nodes.push(ImageNode::of(path, node));
        if !node.children.is_empty() {
            self.open.push((path.clone(), None));
        }
    }

    /// The image, once all has been visited.
    #[must_use]
    pub fn end(mut self, core: &Core) -> Image {
        self.image.digest = core.digest().map(|digest| (core.last_zxid, digest));
        self.image
    }
}

impl ImageNode {
    fn of(path: &ByteString, node: &Node) -> Self {
        Self {
            path: path.clone(),
            data: node.data.clone(),
            acl: Arc::clone(node.acl.entries()),
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
        let mut node = Node::new(self.data, SharedAcl::new(&self.acl), self.kind, self.czxid, self.ctime);
        node.mzxid = self.mzxid;
        node.pzxid = self.pzxid;
        node.mtime = self.mtime;
        node.version = self.version;
        node.aversion = self.aversion;
        node.created_children = self.created_children;
        (self.path, node)
    }
}
