//! Decisions on writes: every rule that can refuse one. The result is a change that cannot fail.
//!
//! Each operation of a multi sees the changes of earlier ones, so nodes are read through an overlay of the request's
//! changes.

mod create;
mod multi;
mod new_path;
mod overlay;
mod write;

use std::borrow::Cow;

use zk_wire::{ByteString, ErrorCode, SessionId, Version, path};

pub(crate) use multi::Unreadable;
use overlay::Overlay;

use crate::core::access::requester::Requester;
use crate::core::access::shared_acl::SharedAcl;
use crate::core::config::Config;
use crate::core::tree::Tree;
use crate::core::tree::node::Node;
use crate::core::txn::{Change, NodeKind};

/// State and configuration that the rules read.
pub(crate) struct Prepare<'a> {
    pub(crate) tree: &'a Tree,
    pub(crate) session: SessionId,
    pub(crate) requester: Requester<'a>,
    pub(crate) config: &'a Config,
    /// Code with which ephemeral nodes are refused, if the session may have none.
    pub(crate) no_ephemerals: Option<ErrorCode>,
    /// Changes of this request; only used for a multi. In a box: the writes without it are moved.
    overlay: Option<Box<Overlay<'a>>>,
}

/// Properties of a node that the rules read.
#[derive(Clone, Debug)]
struct NodeRecord<'a> {
    acl: Cow<'a, SharedAcl>,
    kind: NodeKind,
    version: Version,
    aversion: Version,
    created_children: i32,
    num_children: usize,
    data_len: usize,
}

impl<'a> From<&'a Node> for NodeRecord<'a> {
    fn from(node: &'a Node) -> Self {
        Self {
            acl: Cow::Borrowed(&node.acl),
            kind: node.kind(),
            version: node.version,
            aversion: node.aversion,
            created_children: node.created_children(),
            num_children: node.children().len(),
            data_len: node.data_len(),
        }
    }
}

/// Change, or the code of the refusal.
pub(crate) type Prepared = Result<Change, ErrorCode>;

impl<'a> Prepare<'a> {
    #[inline(always)]
    pub(crate) fn new(
        tree: &'a Tree,
        session: SessionId,
        requester: Requester<'a>,
        config: &'a Config,
    ) -> Self {
        Self { tree, session, requester, config, no_ephemerals: None, overlay: None }
    }

    /// Returns the parent of the node that is written, with the changes of this request.
    #[inline(always)]
    fn parent(&self, path: &str) -> Result<NodeRecord<'a>, ErrorCode> {
        // The parent of a top-level node is the empty part before its slash.
        let path = if path.is_empty() { "/" } else { path };
        match self.changed(path) {
            Some((_, changed)) => changed.clone(),
            None => self.tree.parent(path).map(NodeRecord::from),
        }
        .ok_or(ErrorCode::NO_NODE)
    }

    /// Returns the node with the tree's own copy of the path, so that a transaction does not keep the request in
    /// memory. Null and invalid paths get their own code; the path of an existing node needs no check.
    fn named(&self, path: Option<&str>) -> Result<(ByteString, NodeRecord<'a>), ErrorCode> {
        let path = path.ok_or(ErrorCode::BAD_ARGUMENTS)?;
        // An existing path is valid, so only a missing one is checked.
        self.look_up(path).map_err(|code| match path::validate(path) {
            Ok(()) => code,
            Err(_) => ErrorCode::BAD_ARGUMENTS,
        })
    }

    #[inline(always)]
    fn look_up(&self, path: &str) -> Result<(ByteString, NodeRecord<'a>), ErrorCode> {
        match self.changed(path) {
            Some((path, changed)) => changed.clone().map(|record| (path.clone(), record)),
            None => self.tree.written(path).map(|(path, node)| (path.clone(), NodeRecord::from(node))),
        }
        .ok_or(ErrorCode::NO_NODE)
    }

    /// Returns `true` if the node exists, at a lower cost than a record of it.
    fn exists(&self, path: &str) -> bool {
        match self.changed(path) {
            Some((_, changed)) => changed.is_some(),
            None => self.tree.get(path).is_some(),
        }
    }

    /// Returns the node as this request has changed it, if it has.
    #[inline(always)]
    fn changed(&self, path: &str) -> Option<(&ByteString, &Option<NodeRecord<'a>>)> {
        self.overlay.as_ref()?.get(path)
    }

    /// Fails if quotas are enforced and leave no room.
    fn check_quota(&self, path: &str, old: usize, data: Option<&[u8]>, count: i64) -> Result<(), ErrorCode> {
        let signed = |len| i64::try_from(len).unwrap_or(i64::MAX);
        let bytes = signed(data.map_or(0, <[u8]>::len)) - signed(old);
        if !self.config.enforce_quota || self.tree.quota_allows(path, bytes, count) {
            Ok(())
        } else {
            Err(ErrorCode::QUOTA_EXCEEDED)
        }
    }

    /// Records a change for later operations of a multi, of the node whose path is `part` of `whole`.
    #[inline(always)]
    fn note(
        &mut self,
        whole: &ByteString,
        part: impl FnOnce(&str) -> &str,
        record: impl FnOnce() -> Option<NodeRecord<'a>>,
    ) {
        if let Some(overlay) = &mut self.overlay {
            overlay.note(whole, part(whole), record());
        }
    }
}

/// Returns the part of a path before its last slash.
fn parent_of(path: &str) -> Option<&str> {
    Some(&path[..path::last_slash(path)?])
}

/// Returns `true` if a path has a NUL. Such a path is refused before anything is looked up.
fn has_nul(path: &str) -> bool {
    path.as_bytes().contains(&0)
}

/// Returns the next version if the present one is as expected.
fn next_version(current: Version, expected: zk_wire::Expected) -> Result<Version, ErrorCode> {
    if expected.matches(current) {
        Ok(Version(current.0.wrapping_add(1)))
    } else {
        Err(ErrorCode::BAD_VERSION)
    }
}
