//! Numbers with a meaning, one type each.

use std::fmt;

use bytes::{Bytes, BytesMut};

use crate::codec::{Decode, DecodeError, Encode};

macro_rules! numbers {
    ($($(#[$meta:meta])* $name:ident($int:ty), $format:literal;)*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(
            /// The number as on the wire.
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
    /// The number of a transaction: every change of state takes the next one. Printed as operators grep for
    /// it, in hexadecimal.
    Zxid(i64), "{:#x}";
    /// The identity of a session; 0 is none. Printed in hexadecimal.
    SessionId(i64), "{:#x}";
    /// The number that a client gives a request, and that its reply repeats.
    Xid(i32), "{}";
    /// How often a node's data, children or ACL were changed.
    Version(i32), "{}";
    /// A wall-clock time in milliseconds since 1970, as `Stat` shows it. Never used to measure time.
    UnixMillis(i64), "{}";
}

impl Zxid {
    /// The number of the transaction after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

impl SessionId {
    /// No session: what a client sends to get a new one, and what it receives when its own is gone.
    pub const NONE: Self = Self(0);
}

impl Xid {
    /// Of every watch notification.
    pub const NOTIFICATION: Self = Self(-1);
    /// Of every ping and its reply.
    pub const PING: Self = Self(-2);
    /// Of every auth packet and its reply.
    pub const AUTH: Self = Self(-4);
    /// Of the setWatches after a reconnect and its reply.
    pub const SET_WATCHES: Self = Self(-8);
}

/// The version that a conditional write asks for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Expected {
    /// Whatever it is: -1 on the wire. Only -1: the server takes -2 for a version that no node has.
    Any,
    /// Exactly this one.
    Exactly(Version),
}

impl Expected {
    /// Whether a node at `current` may be written.
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
    fn numbers_print_as_operators_grep_for_them() {
        assert_eq!(Zxid(0x1_0000_0001).to_string(), "0x100000001");
        assert_eq!(SessionId(-1).to_string(), "0xffffffffffffffff");
    }
}
