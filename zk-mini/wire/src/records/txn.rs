//! The records of the transaction log and of snapshots: what Apache ZooKeeper keeps on disk
//! (`org.apache.zookeeper.txn` and `…server.persistence` of `zookeeper.jute`).

use bytes::Bytes;
use bytestring::ByteString;

use crate::acl::Acl;
use crate::codec::records;
use crate::error_code::ErrorCode;
use crate::numbers::{SessionId, UnixMillis, Version, Xid, Zxid};
use crate::op::OpCode;

records! {
    /// What a log or a snapshot begins with.
    #[derive(Copy)]
    FileHeader {
        /// `ZKLG` or `ZKSN`.
        magic: i32,
        /// Of the format: 2.
        version: i32,
        /// 0 in a log, -1 in a snapshot; nobody reads it.
        dbid: i64,
    }

    /// What stands before every transaction in a log.
    #[derive(Copy)]
    TxnHeader {
        /// The session that asked for it, or that it is about.
        session: SessionId,
        /// The number that the session gave the request.
        xid: Xid,
        /// The transaction's own number.
        zxid: Zxid,
        /// When it was decided.
        time: UnixMillis,
        /// Which of the records below follows.
        op: OpCode,
    }

    /// What may stand behind a transaction: the digest of the tree after it.
    #[derive(Copy)]
    TreeDigest {
        /// How it is made: [`TreeDigest::VERSION`], or another way.
        version: i32,
        /// The digest.
        digest: i64,
    }

    /// What may stand behind a snapshot.
    #[derive(Copy)]
    ZxidDigest {
        /// The last transaction that is in the snapshot.
        zxid: Zxid,
        /// The digest of the tree after it.
        digest: TreeDigest,
    }

    /// A session begins.
    #[derive(Copy)]
    CreateSessionTxn {
        /// Its timeout in milliseconds.
        timeout: i32,
    }

    /// A session ends; older releases leave the record out.
    CloseSessionTxn {
        /// Its ephemeral nodes.
        paths_to_delete: Vec<ByteString>,
    }

    /// A node that stays, or goes with its session.
    CreateTxn {
        /// The node.
        path: ByteString,
        /// Its data.
        data: Option<Bytes>,
        /// Its list.
        acl: Vec<Acl>,
        /// Whether it goes with the session.
        ephemeral: bool,
        /// How many children its parent will ever have had.
        parent_cversion: i32,
    }

    /// A container.
    CreateContainerTxn {
        /// The node.
        path: ByteString,
        /// Its data.
        data: Option<Bytes>,
        /// Its list.
        acl: Vec<Acl>,
        /// How many children its parent will ever have had.
        parent_cversion: i32,
    }

    /// A node with a time to live.
    CreateTtlTxn {
        /// The node.
        path: ByteString,
        /// Its data.
        data: Option<Bytes>,
        /// Its list.
        acl: Vec<Acl>,
        /// How many children its parent will ever have had.
        parent_cversion: i32,
        /// The time in milliseconds.
        ttl: i64,
    }

    /// A node is deleted.
    DeleteTxn {
        /// The node.
        path: ByteString,
    }

    /// A node's data is set.
    SetDataTxn {
        /// The node.
        path: ByteString,
        /// The new data.
        data: Option<Bytes>,
        /// The version that this makes.
        version: Version,
    }

    /// A node's list is set.
    SetAclTxn {
        /// The node.
        path: ByteString,
        /// The new list.
        acl: Vec<Acl>,
        /// The version of the list that this makes.
        version: Version,
    }

    /// A check that succeeded.
    CheckVersionTxn {
        /// The node.
        path: ByteString,
        /// The version asked for.
        version: Version,
    }

    /// A write that was refused.
    #[derive(Copy)]
    ErrorTxn {
        /// Why.
        err: ErrorCode,
    }

    /// Several changes at once.
    MultiTxn {
        /// In order.
        txns: Vec<SubTxn>,
    }

    /// One change of several.
    SubTxn {
        /// Which record the data is.
        op: OpCode,
        /// The record.
        data: Option<Bytes>,
    }

    /// What a snapshot keeps of a node beside path, data and list.
    #[derive(Copy)]
    StatPersisted {
        /// The transaction that created the node.
        czxid: Zxid,
        /// The transaction that set its data last.
        mzxid: Zxid,
        /// When it was created.
        ctime: UnixMillis,
        /// When its data was set last.
        mtime: UnixMillis,
        /// Of its data.
        version: Version,
        /// Children ever created, unlike the field of the same name that clients see.
        cversion: Version,
        /// Of its list.
        aversion: Version,
        /// The session that it goes with, or what else becomes of it.
        ephemeral_owner: i64,
        /// The transaction that created or deleted a child last.
        pzxid: Zxid,
    }
}
impl TreeDigest {
    /// The way of making it that is known here.
    pub const VERSION: i32 = 2;

    /// How many bytes it takes.
    pub const LEN: usize = 12;

    /// A digest that was made in the known way.
    #[must_use]
    pub fn new(digest: u64) -> Self {
        Self { version: Self::VERSION, digest: digest.cast_signed() }
    }

    /// The digest, if it was made in the known way.
    #[must_use]
    pub fn known(self) -> Option<u64> {
        (self.version == Self::VERSION).then_some(self.digest.cast_unsigned())
    }
}
