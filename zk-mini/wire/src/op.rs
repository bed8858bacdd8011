//! Op codes: the operations of requests.

use std::fmt;

use bytes::{Bytes, BytesMut};

use crate::codec::{Decode, DecodeError, Encode};

/// Operation of a request. Codes that this table does not name survive decoding and print as numbers.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct OpCode(
    /// Code as on the wire.
    pub i32,
);

macro_rules! op_codes {
    (@bit path, $code:literal) => { 1 << $code };
    (@bit other, $code:literal) => { 0 };
    ($($name:ident = $code:literal, $text:literal, $short:literal, $first:ident;)*) => {
        impl OpCode {
            $(#[doc = concat!("`", $text, "`, ", $code, " on the wire.")] pub const $name: Self = Self($code);)*

            /// Returns ZooKeeper's name of the operation; `None` for an unknown code.
            #[must_use]
            pub fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some($text),)*
                    _ => None,
                }
            }

            /// Every operation that the table names.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Returns the operation with this name, in ZooKeeper's spelling; `None` for any other text.
            ///
            /// ```
            /// use zk_wire::OpCode;
            ///
            /// assert_eq!(OpCode::named("getChildren2"), Some(OpCode::GET_CHILDREN2));
            /// assert_eq!(OpCode::named("getchildren2"), None);
            /// ```
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                match name {
                    $($text => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// Returns ZooKeeper's short name of the operation, as in the answer to `cons`; `NA` if it has none.
            #[must_use]
            pub fn short_name(self) -> &'static str {
                match self {
                    $(Self::$name => $short,)*
                    _ => "NA",
                }
            }

            /// Returns `true` if the body of the request begins with a path, or null in its place.
            #[must_use]
            #[inline]
            pub fn begins_with_path(self) -> bool {
                // A set of bits: it takes fewer instructions than a table of jumps.
                const CODES: u128 = 0 $(| op_codes!(@bit $first, $code))*;
                (0..128).contains(&self.0) && CODES >> self.0 & 1 != 0
            }
        }
    };
}

op_codes! {
    // Constant = code, name, short name, first field of the body.
    NOTIFICATION = 0, "notification", "NA", other;
    CREATE = 1, "create", "CREA", path;
    DELETE = 2, "delete", "DELE", path;
    EXISTS = 3, "exists", "EXIS", path;
    GET_DATA = 4, "getData", "GETD", path;
    SET_DATA = 5, "setData", "SETD", path;
    GET_ACL = 6, "getACL", "GETA", path;
    SET_ACL = 7, "setACL", "SETA", path;
    GET_CHILDREN = 8, "getChildren", "GETC", path;
    SYNC = 9, "sync", "SYNC", path;
    PING = 11, "ping", "PING", other;
    GET_CHILDREN2 = 12, "getChildren2", "GETC", path;
    CHECK = 13, "check", "CHEC", path;
    MULTI = 14, "multi", "MULT", other;
    CREATE2 = 15, "create2", "CREA", path;
    RECONFIG = 16, "reconfig", "RECO", other;
    CHECK_WATCHES = 17, "checkWatches", "CHKW", path;
    REMOVE_WATCHES = 18, "removeWatches", "REMW", path;
    CREATE_CONTAINER = 19, "createContainer", "CREA", path;
    DELETE_CONTAINER = 20, "deleteContainer", "DELE", path;
    CREATE_TTL = 21, "createTTL", "CREA", path;
    MULTI_READ = 22, "multiRead", "MLTR", other;
    AUTH = 100, "auth", "NA", other;
    SET_WATCHES = 101, "setWatches", "SETW", other;
    SASL = 102, "sasl", "NA", other;
    GET_EPHEMERALS = 103, "getEphemerals", "GETE", path;
    GET_ALL_CHILDREN_NUMBER = 104, "getAllChildrenNumber", "GETACN", path;
    SET_WATCHES2 = 105, "setWatches2", "STW2", other;
    ADD_WATCH = 106, "addWatch", "ADDW", path;
    WHO_AM_I = 107, "whoAmI", "HOMI", other;
    CREATE_SESSION = -10, "createSession", "SESS", other;
    CLOSE_SESSION = -11, "closeSession", "CLOS", other;
    ERROR = -1, "error", "NA", other;
}

impl fmt::Display for OpCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "op {}", self.0),
        }
    }
}

impl Encode for OpCode {
    fn encode(&self, out: &mut BytesMut) {
        self.0.encode(out);
    }
}

impl Decode for OpCode {
    fn decode(input: &mut Bytes, what: &'static str) -> Result<Self, DecodeError> {
        i32::decode(input, what).map(Self)
    }
}
