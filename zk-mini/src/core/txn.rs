//! Transactions: every change of state, as a value. Applied to an equal state, one always has the same
//! effect, so a log of them is the state.

use std::sync::Arc;

use bytes::Bytes;
use zk_wire::{Acl, ByteString, ErrorCode, Millis, SessionId, UnixMillis, Version, Xid, Zxid};

/// The owner of a container, and what the owner of a node with a time to live begins with.
const CONTAINER: i64 = i64::MIN;
const TTL: u64 = 0xFF00_0000_0000_0000;

/// A change of state, complete: time, number and names are decided.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Txn {
    /// Its number: the one after the last.
    pub zxid: Zxid,
    /// When it was decided.
    pub time: UnixMillis,
    /// The session that asked for it, or that it is about.
    pub session: SessionId,
    /// The number that the session gave the request; 0 where the server acts by itself.
    pub xid: Xid,
    /// What changes.
    pub change: Change,
    /// The digest of the tree after it, if the server keeps one.
    pub digest: Option<u64>,
}

/// What a transaction changes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// A session begins.
    CreateSession {
        /// Its negotiated timeout.
        timeout: Millis,
    },
    /// A session ends, and its ephemeral nodes with it.
    CloseSession {
        /// The nodes, in the order of their deletion. `None` if they are not listed, since there are too many, or since
        /// whoever wrote the log does not: they are those that the session has.
        ephemerals: Option<Vec<ByteString>>,
    },
    /// A node is created.
    Create(CreateNode),
    /// A node is deleted.
    Delete {
        /// The node.
        path: ByteString,
    },
    /// A node's data is set.
    SetData {
        /// The node.
        path: ByteString,
        /// The new data.
        data: Option<Bytes>,
        /// The data version that this makes.
        version: Version,
    },
    /// A node's ACL is set.
    SetAcl {
        /// The node.
        path: ByteString,
        /// The new list.
        acl: Arc<[Acl]>,
        /// The ACL version that this makes.
        version: Version,
    },
    /// Nothing: a check that succeeded.
    Check {
        /// The node.
        path: ByteString,
    },
    /// Nothing: a write that was refused took the number.
    Error(ErrorCode),
    /// All of these, in order.
    Multi(Vec<Self>),
}

/// A node to be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CreateNode {
    /// Its path, with the counter if it is sequential.
    pub path: ByteString,
    /// Its data.
    pub data: Option<Bytes>,
    /// Its list.
    pub acl: Arc<[Acl]>,
    /// What kind of node.
    pub kind: NodeKind,
    /// How many children its parent will ever have had.
    pub parent_cversion: i32,
}

/// What becomes of a node by itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NodeKind {
    /// It stays.
    Persistent,
    /// It goes with its session.
    Ephemeral(SessionId),
    /// It goes after its last child.
    Container,
    /// It goes when it has not changed and had no children for so long.
    Ttl(Millis),
}

impl NodeKind {
    /// Longest time to live: what ZooKeeper has room for beside its mark, 40 bits of milliseconds.
    pub const MAX_TTL: Millis = Millis(0xFF_FFFF_FFFF);

    /// The number that stands for it in what is stored: ZooKeeper's `ephemeralOwner`.
    #[must_use]
    pub fn owner(self) -> i64 {
        match self {
            Self::Persistent => 0,
            Self::Ephemeral(session) => session.0,
            Self::Container => CONTAINER,
            Self::Ttl(ttl) => (TTL | ttl.0.min(Self::MAX_TTL.0)).cast_signed(),
        }
    }

    /// What a stored number stands for.
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
