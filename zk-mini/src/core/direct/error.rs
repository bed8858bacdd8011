//! Errors of direct writes.

use zk_wire::path::{self, PathError};
use zk_wire::{ErrorCode, Expected, Millis, SessionId, Version};

use crate::core::Core;
use crate::core::direct::NewNode;
use crate::core::tree::SYSTEM_NODES;
use crate::core::txn::NodeKind;

/// Reason why a direct write is refused. Nothing has changed, except after [`NotDurable`](Self::NotDurable).
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each variant has a text that explains its fields")]
pub enum WriteError {
    /// The path cannot name a node.
    #[error("{path:?} cannot name a node: {source}")]
    BadPath { path: String, source: PathError },
    /// The node does not exist.
    #[error("{path} does not exist")]
    NoNode { path: String },
    /// The parent of the node to create does not exist.
    #[error(
        "{path} cannot be created, because its parent {parent} does not exist: create that first, or ask for `parents()`"
    )]
    NoParent { path: String, parent: String },
    /// The node to create exists.
    #[error("{path} exists: delete it first, set its data, or ask for `or_set()`")]
    NodeExists { path: String },
    /// The node to delete has children.
    #[error("{path} has {children} children: delete them first, or use `delete_recursive`")]
    NotEmpty { path: String, children: usize },
    /// The node is at another version.
    #[error("{path} is at version {present}, not {expected}")]
    BadVersion { path: String, expected: Version, present: Version },
    /// The parent is an ephemeral node.
    #[error(
        "{path} cannot be created: its parent {parent} is ephemeral, and ephemeral nodes have no children"
    )]
    EphemeralParent { path: String, parent: String },
    /// The session that is to own the node does not exist.
    #[error(
        "{path} cannot belong to session {session}: it has ended, or never existed; see `sessions()` for those that live"
    )]
    NoSession { path: String, session: SessionId },
    /// The node that is to be ephemeral exists, and does not belong to the session.
    #[error(
        "{path} exists and does not belong to session {session}: delete it first, or set its data without an owner"
    )]
    OtherOwner { path: String, session: SessionId },
    /// The node is one of the system's, which cannot be deleted.
    #[error("{path} is a node of the system: it always exists")]
    SystemNode { path: String },
    /// The node would be a quota on the root, which ZooKeeper does not support.
    #[error(
        "{path} would be a quota on the root, which ZooKeeper does not support: set one on each child of the root"
    )]
    QuotaOfRoot { path: String },
    /// The access control list is empty or has an invalid entry.
    #[error(
        "the ACL of {path} is not valid: it needs at least one entry, each of the scheme `world` with the id `anyone`, \
         `digest` with `user:hash`, `ip` with an address or `address/bits`, or, where the server has them, `sasl` with a user or \
         `x509` with the name in a certificate; `auth` needs a client"
    )]
    InvalidAcl { path: String },
    /// A quota above the node is enforced and used up.
    #[error("a quota above {path} is used up: raise it, or delete nodes below it")]
    QuotaExceeded { path: String },
    /// The transaction would be too long.
    #[error(
        "the transaction for {path} would be longer than {max} bytes: write less data, or raise `jute_max_buffer`"
    )]
    TooLong { path: String, max: usize },
    /// A container cannot be sequential.
    #[error("{path} cannot be a sequential container: ZooKeeper has none")]
    SequentialContainer { path: String },
    /// Nodes with a time to live are off.
    #[error("{path} cannot have a time to live: build the server with `extended_types(true)`")]
    NoTtl { path: String },
    /// The time to live is out of range.
    #[error(
        "{path} cannot have the time to live {ttl}: it is at least 1 ms and at most {}",
        NodeKind::MAX_TTL
    )]
    BadTtl { path: String, ttl: Millis },
    /// The disk is lost, and the server refuses all writes.
    #[error("{path} cannot be written: the disk of the server fails; it tries again every second")]
    ReadOnly { path: String },
    /// The disk failed before the write was durable, or the server was restarted as after a loss of power: the write may be there
    /// or not.
    #[error(
        "the disk of the server failed before the write of {path} was durable, or the server was restarted without what was \
         not synced: look whether it is there"
    )]
    NotDurable { path: String },
    /// The server has been stopped.
    #[error("{path} cannot be written: the server has been stopped")]
    Stopped { path: String },
    /// Any other refusal.
    #[error("the write of {path} was refused: {code}")]
    Refused { path: String, code: ErrorCode },
}

impl Core {
    /// Returns the reason for the code with which a create was refused.
    pub(super) fn explain_create(&self, new: &NewNode<'_>, code: ErrorCode) -> WriteError {
        let path = new.path.to_owned();
        let parent = path::split(&path).map_or("/", |(parent, _)| parent).to_owned();
        match code {
            ErrorCode::NO_NODE => WriteError::NoParent { path, parent },
            ErrorCode::NODE_EXISTS => WriteError::NodeExists { path },
            ErrorCode::NO_CHILDREN_FOR_EPHEMERALS => WriteError::EphemeralParent { path, parent },
            ErrorCode::BAD_ARGUMENTS if path::validate(&path).is_ok() => WriteError::QuotaOfRoot { path },
            code => self.refusal(&path, Expected::Any, code),
        }
    }

    /// Returns the reason for the code with which a write to a node was refused.
    pub(super) fn refusal(&self, path: &str, expected: Expected, code: ErrorCode) -> WriteError {
        if let Err(source) = path::validate(path) {
            return WriteError::BadPath { path: path.into(), source };
        }
        let (node, path) = (self.tree.get(path), path.to_owned());
        match (code, node, expected) {
            (ErrorCode::NO_NODE, ..) => WriteError::NoNode { path },
            (ErrorCode::NOT_EMPTY, Some(node), _) => {
                WriteError::NotEmpty { path, children: node.children().len() }
            }
            (ErrorCode::BAD_VERSION, Some(node), Expected::Exactly(expected)) => {
                WriteError::BadVersion { path, expected, present: node.version }
            }
            (ErrorCode::BAD_ARGUMENTS, ..) if SYSTEM_NODES.contains(&&*path) => {
                WriteError::SystemNode { path }
            }
            (ErrorCode::INVALID_ACL, ..) => WriteError::InvalidAcl { path },
            (ErrorCode::QUOTA_EXCEEDED, ..) => WriteError::QuotaExceeded { path },
            (ErrorCode::MARSHALLING_ERROR, ..) => {
                WriteError::TooLong { path, max: self.config.max_transaction }
            }
            (code, ..) => WriteError::Refused { path, code },
        }
    }
}
