//! `Stat`: metadata of a node.

use bytes::{BufMut, BytesMut};

use crate::codec::{Encode, decoded_records};
use crate::numbers::{SessionId, UnixMillis, Version, Zxid};

decoded_records! {
    /// Metadata of a node. 68 bytes on the wire.
    #[derive(Copy, Default, Hash)]
    Stat {
        /// Transaction that created the node.
        czxid: Zxid,
        /// Transaction that last set its data.
        mzxid: Zxid,
        /// Time of the creation.
        ctime: UnixMillis,
        /// Time at which the data was last set.
        mtime: UnixMillis,
        /// Number of times that the data was set.
        version: Version,
        /// Number of times that a child was created or deleted.
        cversion: Version,
        /// Number of times that the ACL was set.
        aversion: Version,
        /// Session that owns the node if it is ephemeral, [`SessionId::NONE`] otherwise.
        ephemeral_owner: SessionId,
        /// Number of bytes of data; 0 for null, too.
        data_length: i32,
        /// Number of children.
        num_children: i32,
        /// Transaction that last created or deleted a child.
        pzxid: Zxid,
    }
}

impl Stat {
    /// Length on the wire, in bytes.
    pub const LEN: usize = 68;
}

impl Encode for Stat {
    /// Writes all fields at once: the buffer is checked for room once and not for each number. Most replies have a
    /// `Stat`.
    fn encode(&self, out: &mut BytesMut) {
        let mut bytes = [0; Self::LEN];
        let mut rest = &mut bytes[..];
        for number in [self.czxid.0, self.mzxid.0, self.ctime.0, self.mtime.0] {
            rest.put_i64(number);
        }
        for Version(number) in [self.version, self.cversion, self.aversion] {
            rest.put_i32(number);
        }
        rest.put_i64(self.ephemeral_owner.0);
        rest.put_i32(self.data_length);
        rest.put_i32(self.num_children);
        rest.put_i64(self.pzxid.0);
        out.put_slice(&bytes);
    }
}
