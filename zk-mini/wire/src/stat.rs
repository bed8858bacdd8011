//! `Stat`: metadata of a node.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::codec::{Decode, DecodeError, Encode, need};
use crate::numbers::{SessionId, UnixMillis, Version, Zxid};

/// Metadata of a node. 68 bytes on the wire.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Stat {
    /// Transaction that created the node.
    pub czxid: Zxid,
    /// Transaction that last set its data.
    pub mzxid: Zxid,
    /// Time of the creation.
    pub ctime: UnixMillis,
    /// Time at which the data was last set.
    pub mtime: UnixMillis,
    /// Number of times that the data was set.
    pub version: Version,
    /// Number of times that a child was created or deleted.
    pub cversion: Version,
    /// Number of times that the ACL was set.
    pub aversion: Version,
    /// Session that owns the node if it is ephemeral, [`SessionId::NONE`] otherwise.
    pub ephemeral_owner: SessionId,
    /// Number of bytes of data; 0 for null, too.
    pub data_length: i32,
    /// Number of children.
    pub num_children: i32,
    /// Transaction that last created or deleted a child.
    pub pzxid: Zxid,
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

impl Decode for Stat {
    /// Reads all fields at once, as they are written.
    fn decode(input: &mut Bytes, what: &'static str) -> Result<Self, DecodeError> {
        need(input.len(), Self::LEN, what)?;
        let mut bytes = [0; Self::LEN];
        input.copy_to_slice(&mut bytes);
        let mut rest = &bytes[..];
        Ok(Self {
            czxid: Zxid(rest.get_i64()),
            mzxid: Zxid(rest.get_i64()),
            ctime: UnixMillis(rest.get_i64()),
            mtime: UnixMillis(rest.get_i64()),
            version: Version(rest.get_i32()),
            cversion: Version(rest.get_i32()),
            aversion: Version(rest.get_i32()),
            ephemeral_owner: SessionId(rest.get_i64()),
            data_length: rest.get_i32(),
            num_children: rest.get_i32(),
            pzxid: Zxid(rest.get_i64()),
        })
    }
}
