//! Images: the whole state as a value, to be stored and restored. Connections and watches are not part of it.

use std::sync::Arc;

use bytes::Bytes;
use zk_wire::{Acl, ByteString, Millis, SessionId, UnixMillis, Version, Zxid};

use crate::core::access::shared_acl::SharedAcl;
use crate::core::events::Observers;
use crate::core::tree::node::Node;
use crate::core::txn::NodeKind;
use crate::core::{Config, Core, Now};

/// State between two transactions, or a *fuzzy* one (ZooKeeper's term) that shows later transactions in part. Either
/// gives the exact state after the transactions since `last_zxid` are [replayed](Core::replay).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Image {
    /// Last transaction that the image shows completely.
    pub last_zxid: Zxid,
    /// Sessions, each with the timeout of its creation.
    pub sessions: Vec<(SessionId, Millis)>,
    /// All nodes, parents before their children.
    pub nodes: Vec<ImageNode>,
    /// Digest of the tree after the last transaction that is shown at least in part, if the server maintains one.
    pub digest: Option<(Zxid, u64)>,
}

/// Image that is taken in steps. The server can handle inputs between two steps.
#[derive(Debug)]
pub struct ImageWalk {
    image: Image,
    /// Nodes whose children are being visited, each with the last visited child.
    open: Vec<(String, Option<String>)>,
}

/// Server that is being made from an image, node by node: the image need not be in memory as a whole.
#[derive(Debug)]
pub struct Restoration {
    core: Core,
    /// List of the latest node, and the tree's copy of it.
    latest: Option<(Arc<[Acl]>, SharedAcl)>,
}

/// Paths of the nodes of a step, one behind the other: all share one allocation.
#[derive(Debug, Default)]
struct StepPaths {
    text: String,
    /// End of each path.
    ends: Vec<usize>,
}

/// Node of an [`Image`].
#[derive(Clone, Debug, PartialEq)]
pub struct ImageNode {
    /// Path of the node.
    pub path: ByteString,
    /// Data of the node. Null and empty are kept apart.
    pub data: Option<Bytes>,
    /// ACL of the node. Empty if it is not known until later transactions are replayed.
    pub acl: Arc<[Acl]>,
    /// Kind of node.
    pub kind: NodeKind,
    /// Transaction that created the node.
    pub czxid: Zxid,
    /// Transaction that last set its data.
    pub mzxid: Zxid,
    /// Transaction that last created or deleted a child.
    pub pzxid: Zxid,
    /// Time of the creation.
    pub ctime: UnixMillis,
    /// Time at which the data was last set.
    pub mtime: UnixMillis,
    /// Version of the data.
    pub version: Version,
    /// Version of the ACL.
    pub aversion: Version,
    /// Number of children ever created.
    pub created_children: i32,
}

impl Core {
    /// Returns an image of the present state. Data and ACLs are shared, not copied.
    #[must_use]
    pub fn image(&self) -> Image {
        let mut walk = ImageWalk::new(self);
        walk.visit(self, usize::MAX);
        walk.end(self)
    }

    /// Creates a server from an image. Then pass the later transactions to [`replay`](Self::replay), and call
    /// [`recovered`](Self::recovered).
    #[must_use]
    pub fn restore(config: Config, now: Now, mut image: Image) -> Self {
        let mut restoration = Restoration::new(config);
        for node in std::mem::take(&mut image.nodes) {
            // The paths of an image are parts of one text, which would stay as long as any node.
            restoration.add(ImageNode { path: ByteString::from(&*node.path), ..node });
        }
        let mut core = restoration.end(now, image);
        core.tree.weigh_all();
        core
    }

    /// Returns the digest of the tree (Apache ZooKeeper's, version 2), if the server maintains one.
    #[must_use]
    pub fn digest(&self) -> Option<u64> {
        self.tree.digest()
    }

    /// Ends a recovery after the last [`replay`](Self::replay): counts quotas, and deletes ephemeral nodes whose
    /// session does not exist, as Apache ZooKeeper does at its start. Returns `true` if there were such nodes; no
    /// transaction records their deletion.
    pub fn recovered(&mut self, now: Now) -> bool {
        self.sessions.start_new_ids(now.wall, self.last_zxid);
        self.complete()
    }

    /// Deletes ephemeral nodes whose session does not exist, and counts sums and quotas. Returns `true` if there were such
    /// nodes.
    pub(crate) fn complete(&mut self) -> bool {
        let orphaned: Vec<_> = self.tree.owners().filter(|id| self.sessions.get(*id).is_none()).collect();
        for session in &orphaned {
            self.tree.delete_ephemerals(*session, self.last_zxid, &mut Observers::none());
        }
        self.history.forget_past(self.last_zxid);
        // Sums and counts are not reliable during a replay after a fuzzy snapshot.
        self.tree.weigh_all();
        self.tree.recount();
        !orphaned.is_empty()
    }

    /// Returns a node whose ACL is still unknown after the replay. Such a state must not be served.
    #[must_use]
    pub fn without_acl(&self) -> Option<ByteString> {
        self.tree.without_acl().map(ByteString::from)
    }
}

impl Restoration {
    /// Begins with a server that has only the system's nodes.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { core: Core::new(config), latest: None }
    }

    /// Adds the next node of the image.
    pub fn add(&mut self, node: ImageNode) {
        // Nodes that come one after the other usually have the same list.
        let acl = match &self.latest {
            Some((list, acl)) if Arc::ptr_eq(list, &node.acl) => acl.clone(),
            _ => {
                let acl = self.core.tree.share(&node.acl);
                self.latest = Some((Arc::clone(&node.acl), acl.clone()));
                acl
            }
        };
        let (path, node) = node.into_node(acl);
        self.core.tree.restore(path, node);
    }

    /// Ends with the rest of the image, whose nodes have been added. Go on as after [`Core::restore`]: only
    /// [`recovered`](Core::recovered) counts the sums over the nodes below each node.
    #[must_use]
    pub fn end(self, now: Now, image: Image) -> Core {
        let mut core = self.core;
        core.last_zxid = image.last_zxid;
        core.history.forget_past(image.last_zxid);
        for (id, timeout) in image.sessions {
            core.sessions.create(id, timeout, now.mono);
        }
        core
    }
}

impl ImageWalk {
    /// Starts an image of the present state.
    #[must_use]
    pub fn new(core: &Core) -> Self {
        let (last_zxid, mut sessions) = (core.last_zxid, core.sessions.timeouts());
        // No transaction has ended them yet.
        core.held.add_to(&mut sessions);
        let nodes = Vec::with_capacity(core.tree.len());
        let image = Image { last_zxid, sessions, nodes, digest: None };
        Self { image, open: Vec::new() }
    }

    /// Takes up to `count` more nodes as they are now: parents before their children, siblings in order. Returns
    /// `true` when all nodes are taken. Starts again if a session ended meanwhile without listing its nodes: a replay
    /// deletes only nodes that are in the image, and would not update the parents of the others.
    pub fn visit(&mut self, core: &Core, count: usize) -> bool {
        if core.unlisted > self.image.last_zxid {
            *self = Self::new(core);
        }
        let taken = self.image.nodes.len();
        let mut paths = StepPaths::default();
        if taken == 0 {
            paths.text.push('/');
            self.take(core, 0, &mut paths);
        }
        for _ in 0..count {
            let Some((path, last)) = self.open.last_mut() else { break };
            // Children that came before `last` in the meantime, and nodes that went with their parent, are in later
            // transactions.
            let parent = core.tree.get(path);
            let Some(name) = parent.and_then(|parent| parent.children().after(last.as_deref())) else {
                self.open.pop();
                continue;
            };
            let last = last.get_or_insert_default();
            last.clear();
            last.push_str(name);
            let start = paths.text.len();
            paths.text.extend([if path == "/" { "" } else { path }, "/", name]);
            // The child may be in the tree without being in the image, see `take`.
            self.take(core, start, &mut paths);
        }
        let (text, mut start) = (ByteString::from(paths.text), 0);
        for (node, end) in self.image.nodes[taken..].iter_mut().zip(paths.ends) {
            node.path = text.slice_ref(&text[start..end]);
            start = end;
        }
        self.open.is_empty()
    }

    /// Takes the node whose path begins at `start`. It gets its path at the end of the step.
    fn take(&mut self, core: &Core, start: usize, paths: &mut StepPaths) {
        let path = &paths.text[start..];
        // A node created since then is in a later transaction. Apache ZooKeeper would not count it as a child again.
        let Some(node) = core.tree.node(path).filter(|node| node.czxid <= self.image.last_zxid) else {
            paths.text.truncate(start);
            return;
        };
        paths.ends.push(paths.text.len());
        self.image.nodes.push(ImageNode::of(ByteString::new(), node));
        if !node.children().is_empty() {
            self.open.push((path.to_owned(), None));
        }
    }

    /// Returns the image, after all nodes have been visited.
    #[must_use]
    pub fn end(mut self, core: &Core) -> Image {
        self.image.digest = core.digest().map(|digest| (core.last_zxid, digest));
        self.image
    }
}

impl ImageNode {
    pub(crate) fn of(path: ByteString, node: &Node) -> Self {
        Self {
            path,
            data: node.data.clone(),
            acl: Arc::clone(node.acl.entries()),
            kind: node.kind(),
            czxid: node.czxid,
            mzxid: node.mzxid,
            pzxid: node.pzxid(),
            ctime: node.ctime,
            mtime: node.mtime,
            version: node.version,
            aversion: node.aversion,
            created_children: node.created_children(),
        }
    }

    /// Returns the path and the node, which gets its list in the form that nodes share.
    pub(crate) fn into_node(self, acl: SharedAcl) -> (ByteString, Node) {
        let mut node = Node::new(self.data, acl, self.kind, self.czxid, self.ctime);
        node.mzxid = self.mzxid;
        node.mtime = self.mtime;
        node.version = self.version;
        node.aversion = self.aversion;
        node.set_history_of_children(self.created_children, self.pzxid);
        (self.path, node)
    }
}
