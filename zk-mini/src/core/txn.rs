//! Transactions: changes of state as values. Applied to the same state, a transaction always has the same effect, so
//! a log of them is the state.

use std::sync::Arc;

use bytes::Bytes;
use zk_wire::{Acl, ByteString, ErrorCode, Millis, SessionId, UnixMillis, Version, Xid, Zxid};

/// Stored owner of a container, and upper bits of the stored owner of a node with a time to live.
const CONTAINER: i64 = i64::MIN;
const TTL: u64 = 0xFF00_0000_0000_0000;

/// Change of state with all decisions made: time, number and names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Txn {
    /// Number of the transaction: the one after the last.
    pub zxid: Zxid,
    /// Time of the decision.
    pub time: UnixMillis,
    /// Session that sent the request, or that the transaction is about.
    pub session: SessionId,
    /// Number that the session gave to the request; 0 for actions of the server.
    pub xid: Xid,
    /// Change that it makes.
    pub change: Change,
    /// Digest of the tree after it, if the server maintains one.
    pub digest: Option<u64>,
}

/// Change that a transaction makes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// Creates a session.
    CreateSession {
        /// Negotiated timeout.
        timeout: Millis,
    },
    /// Ends a session and deletes its ephemeral nodes.
    CloseSession {
        /// Ephemeral nodes in the order of their deletion. `None` if they are not listed, because there are too many
        /// or because another server wrote the log: then all nodes of the session are deleted.
        ephemerals: Option<Vec<ByteString>>,
    },
    /// Creates a node.
    Create(CreateNode),
    /// Deletes a node.
    Delete {
        /// Path of the node.
        path: ByteString,
    },
    /// Sets a node's data.
    SetData {
        /// Path of the node.
        path: ByteString,
        /// New data.
        data: Option<Bytes>,
        /// New data version.
        version: Version,
    },
    /// Sets a node's ACL.
    SetAcl {
        /// Path of the node.
        path: ByteString,
        /// New ACL.
        acl: Arc<[Acl]>,
        /// New ACL version.
        version: Version,
    },
    /// Changes nothing: a check that succeeded.
    Check {
        /// Path of the node.
        path: ByteString,
    },
    /// Changes nothing: a refused write that took a zxid.
    Error(ErrorCode),
    /// Makes several changes in order.
    Multi(Vec<Self>),
}

/// Node that a transaction creates.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CreateNode {
    /// Path, with the counter of a sequential node.
    pub path: ByteString,
    /// Data of the node.
    pub data: Option<Bytes>,
    /// ACL of the node.
    pub acl: Arc<[Acl]>,
    /// Kind of node.
    pub kind: NodeKind,
    /// Children ever created below the parent, including this one.
    pub parent_cversion: i32,
}

/// Kind of node: the way in which it can end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NodeKind {
    /// Stays until a client deletes it.
    Persistent,
    /// Deleted with its session.
    Ephemeral(SessionId),
    /// Deleted by the server after its last child.
    Container,
    /// Deleted by the server when it has had no change and no children for this time.
    Ttl(Millis),
}

impl NodeKind {
    /// Longest time to live: ZooKeeper stores 40 bits of milliseconds beside its mark.
    pub const MAX_TTL: Millis = Millis(0xFF_FFFF_FFFF);

    /// Returns the number that stands for the kind in files: ZooKeeper's `ephemeralOwner`.
    #[must_use]
    pub fn owner(self) -> i64 {
        match self {
            Self::Persistent => 0,
            Self::Ephemeral(session) => session.0,
            Self::Container => CONTAINER,
            Self::Ttl(ttl) => (TTL | ttl.0.min(Self::MAX_TTL.0)).cast_signed(),
        }
    }

    /// Returns the kind that a number in a file stands for.
    #[must_use]
    pub fn of_owner(owner: i64) -> Self {
        match owner {
            0 => Self::Persistent,
            CONTAINER => Self::Container,
            owner if owner.cast_unsigned() & TTL == TTL => {
                Self::Ttl(Millis(owner.cast_unsigned() & Self::MAX_TTL.0))
            }
            owner => Self::Ephemeral(SessionId(owner)),
        }
    }
}
