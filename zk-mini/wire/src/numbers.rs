//! Numbers with a meaning, each with a type of its own.

use std::fmt;

use bytes::{Bytes, BytesMut};

use crate::codec::{Decode, DecodeError, Encode};

macro_rules! numbers {
    ($($(#[$meta:meta])* $name:ident($int:ty), $format:literal;)*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(
            /// Number as on the wire.
            pub $int,
        );
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, $format, self.0)
            }
        }
        impl Encode for $name {
            fn encode(&self, out: &mut BytesMut) {
                self.0.encode(out);
            }
        }
        impl Decode for $name {
            fn decode(input: &mut Bytes, what: &'static str) -> Result<Self, DecodeError> {
                Decode::decode(input, what).map(Self)
            }
        }
    )*};
}

numbers! {
    /// Number of a transaction. Each change of state takes the next one. Printed in hexadecimal, as in ZooKeeper's
    /// logs.
    Zxid(i64), "{:#x}";
    /// Id of a session; 0 is none. Printed in hexadecimal.
    SessionId(i64), "{:#x}";
    /// Number that a client gives to a request; the reply repeats it.
    Xid(i32), "{}";
    /// Number of changes of a node's data, children or ACL.
    Version(i32), "{}";
    /// Wall-clock time in milliseconds since 1970, as in `Stat`. Never used to measure time.
    UnixMillis(i64), "{}";
}

impl Zxid {
    /// Returns the number of the next transaction.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

impl SessionId {
    /// No session. A client sends it to get a new session, and receives it when its session has ended.
    pub const NONE: Self = Self(0);
}

impl Xid {
    /// Xid of every watch event.
    pub const NOTIFICATION: Self = Self(-1);
    /// Xid of every ping and its reply.
    pub const PING: Self = Self(-2);
    /// Xid of every auth request and its reply.
    pub const AUTH: Self = Self(-4);
    /// Xid of the setWatches after a reconnect and its reply.
    pub const SET_WATCHES: Self = Self(-8);
}

/// Version that a node must have for a conditional write.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Expected {
    /// Any version: -1 on the wire. Only -1 means that; -2 is a version that no node has.
    Any,
    /// This version only.
    Exactly(Version),
}

impl Expected {
    /// Returns `true` if a node at `current` may be written.
    #[must_use]
    pub fn matches(self, current: Version) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(version) => version == current,
        }
    }
}

impl From<Version> for Expected {
    fn from(version: Version) -> Self {
        if version.0 == -1 { Self::Any } else { Self::Exactly(version) }
    }
}

impl Encode for Expected {
    fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Any => Version(-1).encode(out),
            Self::Exactly(version) => version.encode(out),
        }
    }
}

impl Decode for Expected {
    fn decode(input: &mut Bytes, what: &'static str) -> Result<Self, DecodeError> {
        Version::decode(input, what).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_minus_one_is_the_wildcard() {
        assert!(Expected::from(Version(-1)).matches(Version(7)));
        assert!(!Expected::from(Version(-2)).matches(Version(7)));
        assert!(Expected::from(Version(7)).matches(Version(7)));
    }

    #[test]
    fn zxids_and_session_ids_print_in_hexadecimal() {
        assert_eq!(Zxid(0x1_0000_0001).to_string(), "0x100000001");
        assert_eq!(SessionId(-1).to_string(), "0xffffffffffffffff");
    }
}
