//! `Stat`: what the server keeps about a node beside its data.

use bytes::{BufMut, BytesMut};

use crate::codec::{Encode, decoded_records};
use crate::numbers::{SessionId, UnixMillis, Version, Zxid};

decoded_records! {
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

impl Stat {
    /// Length on the wire, in bytes.
    pub const LEN: usize = 68;
}

impl Encode for Stat {
    /// Put together first, so that the buffer is asked for room once and not for each number: most replies have one.
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
