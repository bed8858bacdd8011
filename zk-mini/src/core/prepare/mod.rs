//! Deciding on writes: every rule that can refuse one. What comes out is a change that cannot fail.
//!
//! Each operation of a multi sees what the earlier ones did, so nodes are looked at through an overlay of
//! what this request has changed so far.

mod create;
mod multi;
mod write;

use std::borrow::Cow;

use foldhash::HashMap;
use zk_wire::{ByteString, ErrorCode, SessionId, Version, path};

pub(crate) use multi::Unreadable;

use crate::core::access::requester::Requester;
use crate::core::access::shared_acl::SharedAcl;
use crate::core::config::Config;
use crate::core::tree::Tree;
use crate::core::tree::node::Node;
use crate::core::txn::{Change, NodeKind};

/// What the rules look at.
pub(crate) struct Prepare<'a> {
    pub(crate) tree: &'a Tree,
    pub(crate) session: SessionId,
    pub(crate) requester: Requester<'a>,
    pub(crate) config: &'a Config,
    /// What this request has changed; only a multi looks at it.
    overlay: Option<HashMap<ByteString, Option<Record<'a>>>>,
}

/// What the rules ask of a node.
#[derive(Clone, Debug)]
struct Record<'a> {
    acl: Cow<'a, SharedAcl>,
    kind: NodeKind,
    version: Version,
    aversion: Version,
    created_children: i32,
    num_children: usize,
    data_len: usize,
}

impl<'a> From<&'a Node> for Record<'a> {
    fn from(node: &'a Node) -> Self {
        Self {
            acl: Cow::Borrowed(&node.acl),
            kind: node.kind,
            version: node.version,
            aversion: node.aversion,
            created_children: node.created_children,
            num_children: node.children.len(),
            data_len: node.data_len(),
        }
    }
}

/// A change, or the code that the write is refused with.
pub(crate) type Prepared = Result<Change, ErrorCode>;

impl<'a> Prepare<'a> {
    pub(crate) fn new(
        tree: &'a Tree,
        session: SessionId,
        requester: Requester<'a>,
        config: &'a Config,
    ) -> Self {
        Self { tree, session, requester, config, overlay: None }
    }

    /// The node as it will be after what this request has done so far.
    fn record(&self, path: &str) -> Result<Record<'a>, ErrorCode> {
        let path = if path.is_empty() { "/" } else { path };
        match self.overlay.as_ref().and_then(|overlay| overlay.get(path)) {
            Some(changed) => changed.clone(),
            None => self.tree.get(path).map(Record::from),
        }
        .ok_or(ErrorCode::NO_NODE)
    }

    /// As [`record`](Self::record), with the path as the tree has it, so that a transaction need not hold on to the request.
    /// A path that cannot name a node, or null, is refused as such; one that does name a node need not be looked at again.
    fn named(&self, path: Option<&str>) -> Result<(ByteString, Record<'a>), ErrorCode> {
        let path = path.ok_or(ErrorCode::BAD_ARGUMENTS)?;
        self.look_up(path).map_err(|code| match path::validate(path) {
            Ok(()) => code,
            Err(_) => ErrorCode::BAD_ARGUMENTS,
        })
    }

    fn look_up(&self, path: &str) -> Result<(ByteString, Record<'a>), ErrorCode> {
        let changed = self.overlay.as_ref().and_then(|overlay| overlay.get_key_value(path));
        match changed {
            Some((path, changed)) => changed.clone().map(|record| (path.clone(), record)),
            None => self.tree.entry(path).map(|(path, node)| (path.clone(), Record::from(node))),
        }
        .ok_or(ErrorCode::NO_NODE)
    }

    /// Whether a node will be there, without the cost of a look at it.
    fn exists(&self, path: &str) -> bool {
        match self.overlay.as_ref().and_then(|overlay| overlay.get(path)) {
            Some(changed) => changed.is_some(),
            None => self.tree.get(path).is_some(),
        }
    }

    /// Whether the quotas leave room, as far as they are enforced.
    fn check_quota(&self, path: &str, old: usize, data: Option<&[u8]>, count: i64) -> Result<(), ErrorCode> {
        let signed = |len| i64::try_from(len).unwrap_or(i64::MAX);
        let bytes = signed(data.map_or(0, <[u8]>::len)) - signed(old);
        if !self.config.enforce_quota || self.tree.quota_allows(path, bytes, count) {
            Ok(())
        } else {
            Err(ErrorCode::QUOTA_EXCEEDED)
        }
    }

    /// Notes what an operation does to a node, for the later ones of a multi.
    fn note(&mut self, whole: &ByteString, path: &str, record: impl FnOnce() -> Option<Record<'a>>) {
        let Some(overlay) = &mut self.overlay else { return };
        match overlay.get_mut(path) {
            Some(noted) => *noted = record(),
            None => {
                overlay.insert(whole.slice_ref(path), record());
            }
        }
    }
}

/// The part of a path before its last slash; a path without a slash, or with a NUL, names nothing.
fn parent_of(path: &str) -> Result<&str, ErrorCode> {
    match path.bytes().rposition(|byte| byte == b'/') {
        Some(slash) if !path.bytes().any(|byte| byte == 0) => Ok(&path[..slash]),
        _ => Err(ErrorCode::BAD_ARGUMENTS),
    }
}

/// The version after the present one, if that is as expected.
fn next_version(current: Version, expected: zk_wire::Expected) -> Result<Version, ErrorCode> {
    if expected.matches(current) {
        Ok(Version(current.0.wrapping_add(1)))
    } else {
        Err(ErrorCode::BAD_VERSION)
    }
}
