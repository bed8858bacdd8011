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
    /// Returns an entry for any scheme. The id of `digest` is the one that `getAcl` shows, `user:` and the hash of
    /// `user:password`; for one's own identity [`Acl::creator_only`] needs no hash.
    ///
    /// ```
    /// use zk_wire::{Acl, Perms};
    ///
    /// let office = Acl::new(Perms::READ | Perms::CREATE, "ip", "10.0.0.0/8");
    /// assert_eq!((&*office.scheme, &*office.id), ("ip", "10.0.0.0/8"));
    /// ```
    #[must_use]
    pub fn new(perms: Perms, scheme: impl Into<ByteString>, id: impl Into<ByteString>) -> Self {
        Self { perms, scheme: scheme.into(), id: id.into() }
    }

    /// Returns the entry that allows everything to everyone: ZooKeeper's `OPEN_ACL_UNSAFE`.
    #[must_use]
    pub fn open() -> Self {
        Self::world(Perms::ALL)
    }

    /// Returns the entry that allows everyone to read, and nothing else: ZooKeeper's `READ_ACL_UNSAFE`.
    #[must_use]
    pub fn read_only() -> Self {
        Self::world(Perms::READ)
    }

    /// Returns the entry that allows everything to the identities of the client that creates the node, and nothing to
    /// others: ZooKeeper's `CREATOR_ALL_ACL`. The server puts the identities in its place; a client without one gets
    /// `INVALID_ACL`.
    #[must_use]
    pub fn creator_only() -> Self {
        Self { perms: Perms::ALL, scheme: ByteString::from_static("auth"), id: ByteString::new() }
    }

    fn world(perms: Perms) -> Self {
        Self { perms, scheme: ByteString::from_static("world"), id: ByteString::from_static("anyone") }
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
