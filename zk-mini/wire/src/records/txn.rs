//! Records of transaction logs and snapshots: Apache ZooKeeper's files on disk (`org.apache.zookeeper.txn` and
//! `…server.persistence` of `zookeeper.jute`).

use bytes::Bytes;
use bytestring::ByteString;

use crate::acl::Acl;
use crate::codec::records;
use crate::error_code::ErrorCode;
use crate::numbers::{SessionId, UnixMillis, Version, Xid, Zxid};
use crate::op::OpCode;

records! {
    /// Header of a log or a snapshot.
    #[derive(Copy)]
    FileHeader {
        /// `ZKLG` or `ZKSN`.
        magic: i32,
        /// Version of the format: 2.
        version: i32,
        /// 0 in a log, -1 in a snapshot; never read.
        dbid: i64,
    }

    /// Header of a transaction in a log.
    #[derive(Copy)]
    TxnHeader {
        /// Session that sent the request, or that the transaction is about.
        session: SessionId,
        /// Number that the session gave to the request.
        xid: Xid,
        /// Number of the transaction.
        zxid: Zxid,
        /// Time of the decision.
        time: UnixMillis,
        /// Type of the record that follows.
        op: OpCode,
    }

    /// Digest of the tree after a transaction; optional, at its end.
    #[derive(Copy)]
    TreeDigest {
        /// Version of the digest's algorithm: [`TreeDigest::VERSION`], or another one.
        version: i32,
        /// Digest.
        digest: i64,
    }

    /// Digest at the end of a snapshot; optional.
    #[derive(Copy)]
    ZxidDigest {
        /// Last transaction that is in the snapshot.
        zxid: Zxid,
        /// Digest of the tree after it.
        digest: TreeDigest,
    }

    /// Start of a session.
    #[derive(Copy)]
    CreateSessionTxn {
        /// Session timeout in milliseconds.
        timeout: i32,
    }

    /// End of a session. Older releases leave the record out.
    CloseSessionTxn {
        /// Ephemeral nodes of the session.
        paths_to_delete: Vec<ByteString>,
    }

    /// Creation of a persistent or ephemeral node.
    CreateTxn {
        /// Path of the node.
        path: ByteString,
        /// Data of the node.
        data: Option<Bytes>,
        /// ACL of the node.
        acl: Vec<Acl>,
        /// `true` for an ephemeral node.
        ephemeral: bool,
        /// Children ever created below the parent, including this one.
        parent_cversion: i32,
    }

    /// Creation of a container.
    CreateContainerTxn {
        /// Path of the node.
        path: ByteString,
        /// Data of the node.
        data: Option<Bytes>,
        /// ACL of the node.
        acl: Vec<Acl>,
        /// Children ever created below the parent, including this one.
        parent_cversion: i32,
    }

    /// Creation of a node with a time to live.
    CreateTtlTxn {
        /// Path of the node.
        path: ByteString,
        /// Data of the node.
        data: Option<Bytes>,
        /// ACL of the node.
        acl: Vec<Acl>,
        /// Children ever created below the parent, including this one.
        parent_cversion: i32,
        /// Time to live in milliseconds.
        ttl: i64,
    }

    /// Deletion of a node.
    DeleteTxn {
        /// Path of the node.
        path: ByteString,
    }

    /// Change of a node's data.
    SetDataTxn {
        /// Path of the node.
        path: ByteString,
        /// New data.
        data: Option<Bytes>,
        /// New data version.
        version: Version,
    }

    /// Change of a node's ACL.
    SetAclTxn {
        /// Path of the node.
        path: ByteString,
        /// New ACL.
        acl: Vec<Acl>,
        /// New ACL version.
        version: Version,
    }

    /// Check that succeeded.
    CheckVersionTxn {
        /// Path of the node.
        path: ByteString,
        /// Version that was asked for.
        version: Version,
    }

    /// Write that was refused.
    #[derive(Copy)]
    ErrorTxn {
        /// Code of the refusal.
        err: ErrorCode,
    }

    /// Several changes, all at once.
    MultiTxn {
        /// Changes in order.
        txns: Vec<SubTxn>,
    }

    /// Change of a [`MultiTxn`].
    SubTxn {
        /// Type of the record.
        op: OpCode,
        /// Record.
        data: Option<Bytes>,
    }

    /// Part of a node in a snapshot beside path, data and ACL.
    #[derive(Copy)]
    StatPersisted {
        /// Transaction that created the node.
        czxid: Zxid,
        /// Transaction that last set its data.
        mzxid: Zxid,
        /// Time of the creation.
        ctime: UnixMillis,
        /// Time at which the data was last set.
        mtime: UnixMillis,
        /// Version of the data.
        version: Version,
        /// Number of children ever created, unlike the field of the same name in [`Stat`](crate::Stat).
        cversion: Version,
        /// Version of the ACL.
        aversion: Version,
        /// Session that owns an ephemeral node, or the mark of another kind of node.
        ephemeral_owner: i64,
        /// Transaction that last created or deleted a child.
        pzxid: Zxid,
    }
}
impl TreeDigest {
    /// Version of the digest's algorithm that this crate knows.
    pub const VERSION: i32 = 2;

    /// Length on the wire, in bytes.
    pub const LEN: usize = 12;

    /// Returns a digest of the known version.
    #[must_use]
    pub fn new(digest: u64) -> Self {
        Self { version: Self::VERSION, digest: digest.cast_signed() }
    }

    /// Returns the digest; `None` if it has another version.
    #[must_use]
    pub fn known(self) -> Option<u64> {
        (self.version == Self::VERSION).then_some(self.digest.cast_unsigned())
    }
}
