//! Access control lists.

use std::ops::BitOr;

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;

use crate::codec::{Decode, DecodeError, Encode, records};

/// Set of permissions, a bit each. The server accepts and keeps any number.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Perms(
    /// Bits as on the wire.
    pub i32,
);

impl Perms {
    /// Read data and list children.
    pub const READ: Self = Self(1);
    /// Set data.
    pub const WRITE: Self = Self(2);
    /// Create children.
    pub const CREATE: Self = Self(4);
    /// Delete children.
    pub const DELETE: Self = Self(8);
    /// Set the ACL.
    pub const ADMIN: Self = Self(16);
    /// All of the above.
    pub const ALL: Self = Self(31);

    /// Returns `true` if any permission of `other` is in this set.
    #[must_use]
    pub fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for Perms {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

records! {
    /// Entry of an access control list: an identity and its permissions.
    #[derive(Hash)]
    Acl {
        /// Permissions that the identity has.
        perms: Perms,
        /// Scheme of the identity: `world`, `auth`, `digest`, `ip`.
        scheme: ByteString,
        /// Identity, in the form of its scheme.
        id: ByteString,
    }
}

impl Acl {
    /// Returns the entry that allows everything to everyone: ZooKeeper's `OPEN_ACL_UNSAFE`.
    #[must_use]
    pub fn open() -> Self {
        Self {
            perms: Perms::ALL,
            scheme: ByteString::from_static("world"),
            id: ByteString::from_static("anyone"),
        }
    }
}

impl Encode for Perms {
    fn encode(&self, out: &mut BytesMut) {
        self.0.encode(out);
    }
}

impl Decode for Perms {
    fn decode(input: &mut Bytes, what: &'static str) -> Result<Self, DecodeError> {
        i32::decode(input, what).map(Self)
    }
}
