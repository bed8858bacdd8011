//! `Stat`: what the server keeps about a node beside its data.

use crate::codec::records;
use crate::numbers::{SessionId, UnixMillis, Version, Zxid};

records! {
    /// What the server keeps about a node beside its data. 68 bytes on the wire.
    #[derive(Copy, Default, Hash)]
    Stat {
        /// Transaction that created the node.
        czxid: Zxid,
        /// Transaction that last set its data.
        mzxid: Zxid,
        /// When it was created.
        ctime: UnixMillis,
        /// When its data was last set.
        mtime: UnixMillis,
        /// How often its data was set.
        version: Version,
        /// How often a child was created or deleted.
        cversion: Version,
        /// How often its ACL was set.
        aversion: Version,
        /// Session that owns the node if it is ephemeral, [`SessionId::NONE`] otherwise.
        ephemeral_owner: SessionId,
        /// Bytes of data; 0 also for null.
        data_length: i32,
        /// How many children it has.
        num_children: i32,
        /// Transaction that last created or deleted a child.
        pzxid: Zxid,
    }
}
