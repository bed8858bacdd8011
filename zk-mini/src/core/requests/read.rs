//! Requests that read. They change only watches of their connection.

use std::borrow::Cow;

use zk_wire::{
    Acl, ByteString, DecodeError, Encode, ErrorCode, Fields, GetAllChildrenNumberResponse, OpCode,
    OptionalPathView, PathView, Perms, RequestView, StatResponse, SyncResponse, WhoAmIResponse, put_len,
};

use crate::core::Core;
use crate::core::access::requester::Requester;
use crate::core::peers::PeerState;
use crate::core::requests::call::{Answer, Call, Reply};
use crate::core::tree::Tree;
use crate::core::tree::node::Node;

/// [`WatchedPathView`](zk_wire::WatchedPathView) whose path has not been checked: that costs as much as to look up the node.
pub(crate) struct ReadView<'a> {
    path: &'a [u8],
    watch: bool,
}

impl<'a> RequestView<'a> for ReadView<'a> {
    fn read(_: OpCode, fields: &mut Fields<'a>) -> Result<Self, DecodeError> {
        let what = "ReadView.path";
        let path = fields.buffer(what)?.ok_or(DecodeError::Null { what })?;
        Ok(Self { path, watch: fields.boolean("ReadView.watch")? })
    }
}

impl<'a> ReadView<'a> {
    /// Returns the path, and its node. The path of a node is valid UTF-8; in any other, invalid bytes read as U+FFFD.
    #[inline]
    fn find(&self, tree: &'a Tree) -> (Cow<'a, str>, Option<&'a Node>) {
        if let Some((path, node)) = tree.entry_of(self.path) {
            return (Cow::Borrowed(path), Some(node));
        }
        let path = String::from_utf8_lossy(self.path);
        let node = match &path {
            Cow::Borrowed(path) if !path.is_empty() => None,
            // The root has a second name.
            path => tree.get(path),
        };
        (path, node)
    }
}

impl Core {
    pub(crate) fn get_data(&mut self, call: &Call, request: &ReadView<'_>) -> Answer {
        let (path, node) = request.find(&self.tree);
        let node = node.ok_or(ErrorCode::NO_NODE)?;
        check_readable(node, || self.requester(call.conn))?;
        self.namespaces.read(&path, node.data_len());
        if request.watch {
            self.watches.watch_data(&path, call.conn)?;
        }
        Ok(Reply::Body(self.outputs.record(&node.data_and_stat())))
    }

    /// Reads a node's `Stat`. The watch is set even if there is no node: it waits for the creation.
    pub(crate) fn exists(&mut self, call: &Call, request: &ReadView<'_>) -> Answer {
        let (path, node) = request.find(&self.tree);
        if path.contains('\0') {
            return Err(ErrorCode::BAD_ARGUMENTS.into());
        }
        let stat = match node {
            Some(node) => {
                check_readable(node, || self.requester(call.conn))?;
                Some(node.stat())
            }
            None => None,
        };
        if request.watch {
            self.watches.watch_data(&path, call.conn)?;
        }
        let stat = stat.ok_or(ErrorCode::NO_NODE)?;
        self.namespaces.read(&path, 0);
        Ok(Reply::Body(self.outputs.record(&StatResponse { stat })))
    }

    /// Handles getChildren and getChildren2, whose reply has the `Stat`, too.
    pub(crate) fn get_children(&mut self, call: &Call, request: &ReadView<'_>) -> Answer {
        let (path, node) = request.find(&self.tree);
        let node = node.ok_or(ErrorCode::NO_NODE)?;
        check_readable(node, || self.requester(call.conn))?;
        if request.watch {
            self.watches.watch_children(&path, call.conn)?;
        }
        let names = self.listing.names(&path, node);
        self.namespaces.read(&path, names.text_len());
        Ok(Reply::Body(self.outputs.body(|out| {
            names.encode(out);
            if call.op == OpCode::GET_CHILDREN2 {
                node.stat().encode(out);
            }
        })))
    }

    /// Reads a node's ACL. Without ADMIN the hashes of digest ids are hidden.
    pub(crate) fn get_acl(&mut self, call: &Call, request: &PathView<'_>) -> Answer {
        let node = self.tree.get(&request.path).ok_or(ErrorCode::NO_NODE)?;
        let requester = self.requester(call.conn)?;
        node.acl.check(&requester, Perms::READ | Perms::ADMIN)?;
        let hides = node.acl.check(&requester, Perms::ADMIN).is_err();
        Ok(Reply::Body(self.outputs.body(|out| {
            put_len(node.acl.len(), out);
            for entry in node.acl.iter() {
                match hides.then(|| without_hash(entry)).flatten() {
                    Some(entry) => entry.encode(out),
                    None => entry.encode(out),
                }
            }
            node.stat().encode(out);
        })))
    }

    pub(crate) fn get_all_children_number(&mut self, call: &Call, request: &PathView<'_>) -> Answer {
        let path = &*request.path;
        readable(&self.tree, path, || self.requester(call.conn))?;
        // ZooKeeper counts the root itself if its path is empty.
        let total = self.tree.weight_below(path).nodes + i64::from(path.is_empty());
        let total_number = i32::try_from(total).unwrap_or(i32::MAX);
        Ok(Reply::Body(self.outputs.record(&GetAllChildrenNumberResponse { total_number })))
    }

    pub(crate) fn get_ephemerals(&mut self, call: &Call, request: &OptionalPathView<'_>) -> Answer {
        // Java's `trim` removes every character up to the space.
        let prefix = request.path.as_deref().unwrap_or_default();
        let trimmed = prefix.trim_matches(|c| c <= ' ');
        let is_all = trimmed.is_empty() || trimmed == "/";
        let prefix = if is_all { "" } else { prefix };
        let paths: Vec<_> = self.tree.ephemerals_with_prefix(call.session, prefix).collect();
        Ok(Reply::Body(self.outputs.body(|out| {
            put_len(paths.len(), out);
            paths.iter().for_each(|path| path.encode(out));
        })))
    }

    /// Answers at once: a single server is always up to date.
    pub(crate) fn sync(&mut self, _: &Call, request: &OptionalPathView<'_>) -> Answer {
        let path = request.path.as_deref().map(ByteString::from);
        Ok(Reply::Body(self.outputs.record(&SyncResponse { path })))
    }

    pub(crate) fn who_am_i(&mut self, call: &Call) -> Answer {
        let client_info = self.peers.get(call.conn).map(PeerState::client_info);
        let response = WhoAmIResponse { client_info: client_info.unwrap_or_default() };
        Ok(Reply::Body(self.outputs.record(&response)))
    }
}

/// Returns a node that a requester may read.
pub(crate) fn readable<'a, 'r, E: From<ErrorCode>>(
    tree: &'a Tree,
    path: &str,
    requester: impl FnOnce() -> Result<Requester<'r>, E>,
) -> Result<&'a Node, E> {
    let node = tree.get(path).ok_or(ErrorCode::NO_NODE)?;
    check_readable(node, requester)?;
    Ok(node)
}

/// Fails unless a requester, who is looked up if the node is not open to everybody, may read a node.
fn check_readable<'r, E: From<ErrorCode>>(
    node: &Node,
    requester: impl FnOnce() -> Result<Requester<'r>, E>,
) -> Result<(), E> {
    if !node.acl.allows_anyone(Perms::READ) {
        node.acl.check(&requester()?, Perms::READ)?;
    }
    Ok(())
}

/// Returns a digest entry with its hash hidden.
fn without_hash(entry: &Acl) -> Option<Acl> {
    let (name, _) = entry.id.split_once(':').filter(|_| entry.scheme == "digest")?;
    Some(Acl { id: ByteString::from(format!("{name}:x")), ..entry.clone() })
}
