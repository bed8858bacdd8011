//! Error codes: the server's answers to requests that fail.

use std::fmt;

use bytes::{Bytes, BytesMut};

use crate::codec::{Decode, DecodeError, Encode};

/// Code of the server's answer to a request that failed. Codes that this table does not name survive decoding and
/// print as numbers. `OK` (0) is part of the wire format, not an error.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ErrorCode(
    /// Code as on the wire.
    pub i32,
);

macro_rules! error_codes {
    ($($name:ident = $code:literal, $java:literal, $text:literal;)*) => {
        impl ErrorCode {
            $(#[doc = concat!($text, "; ", $code, " on the wire.")] pub const $name: Self = Self($code);)*

            /// Every code that the table names, `OK` too.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Returns ZooKeeper's name, of `KeeperException.Code`; `None` for an unknown code.
            #[must_use]
            pub fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some($java),)*
                    _ => None,
                }
            }

            /// Returns the code with this name of `KeeperException.Code`; `None` for any other text.
            ///
            /// ```
            /// use zk_wire::ErrorCode;
            ///
            /// assert_eq!(ErrorCode::named("NONODE"), Some(ErrorCode::NO_NODE));
            /// assert_eq!(ErrorCode::named("NO_NODE"), None);
            /// ```
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                match name {
                    $($java => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// Returns the meaning in a few words; `None` for an unknown code.
            #[must_use]
            pub fn message(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some($text),)*
                    _ => None,
                }
            }
        }
    };
}

error_codes! {
    // Constant = code, name in ZooKeeper, meaning.
    OK = 0, "OK", "no error";
    SYSTEM_ERROR = -1, "SYSTEMERROR", "system error";
    RUNTIME_INCONSISTENCY = -2, "RUNTIMEINCONSISTENCY", "runtime inconsistency: another operation of the multi failed";
    DATA_INCONSISTENCY = -3, "DATAINCONSISTENCY", "data inconsistency";
    CONNECTION_LOSS = -4, "CONNECTIONLOSS", "connection to the server was lost";
    MARSHALLING_ERROR = -5, "MARSHALLINGERROR", "request could not be read by the server, or its transaction or reply would be too long";
    UNIMPLEMENTED = -6, "UNIMPLEMENTED", "operation is not implemented by the server";
    OPERATION_TIMEOUT = -7, "OPERATIONTIMEOUT", "operation timed out";
    BAD_ARGUMENTS = -8, "BADARGUMENTS", "invalid arguments";
    NEW_CONFIG_NO_QUORUM = -13, "NEWCONFIGNOQUORUM", "no quorum of the new configuration is connected";
    RECONFIG_IN_PROGRESS = -14, "RECONFIGINPROGRESS", "another reconfiguration is in progress";
    UNKNOWN_SESSION = -12, "UNKNOWNSESSION", "unknown session";
    API_ERROR = -100, "APIERROR", "api error";
    NO_NODE = -101, "NONODE", "node does not exist";
    NO_AUTH = -102, "NOAUTH", "not authorised by the node's ACL";
    BAD_VERSION = -103, "BADVERSION", "version does not match";
    NO_CHILDREN_FOR_EPHEMERALS = -108, "NOCHILDRENFOREPHEMERALS", "ephemeral nodes may not have children";
    NODE_EXISTS = -110, "NODEEXISTS", "node already exists";
    NOT_EMPTY = -111, "NOTEMPTY", "node has children";
    SESSION_EXPIRED = -112, "SESSIONEXPIRED", "session has expired";
    INVALID_CALLBACK = -113, "INVALIDCALLBACK", "invalid callback";
    INVALID_ACL = -114, "INVALIDACL", "invalid ACL";
    AUTH_FAILED = -115, "AUTHFAILED", "authentication failed";
    SESSION_MOVED = -118, "SESSIONMOVED", "session moved to another server";
    NOT_READ_ONLY = -119, "NOTREADONLY", "server is read-only";
    EPHEMERAL_ON_LOCAL_SESSION = -120, "EPHEMERALONLOCALSESSION", "local sessions cannot have ephemeral nodes";
    NO_WATCHER = -121, "NOWATCHER", "no such watch";
    REQUEST_TIMEOUT = -122, "REQUESTTIMEOUT", "request timed out";
    RECONFIG_DISABLED = -123, "RECONFIGDISABLED", "reconfiguration is disabled";
    SESSION_CLOSED_REQUIRE_SASL_AUTH = -124, "SESSIONCLOSEDREQUIRESASLAUTH", "session closed: the server requires SASL authentication";
    QUOTA_EXCEEDED = -125, "QUOTAEXCEEDED", "quota exceeded";
    THROTTLED_OP = -127, "THROTTLEDOP", "operation was throttled: the server is overloaded";
}

impl ErrorCode {
    /// Returns `Ok` for 0, and the code itself otherwise.
    ///
    /// # Errors
    /// Every code but 0.
    pub fn into_result(self) -> Result<(), Self> {
        if self == Self::OK { Ok(()) } else { Err(self) }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.message() {
            Some(message) => write!(f, "{message} ({})", self.0),
            None => write!(f, "error code {}", self.0),
        }
    }
}

impl std::error::Error for ErrorCode {}

impl Encode for ErrorCode {
    fn encode(&self, out: &mut BytesMut) {
        self.0.encode(out);
    }
}

impl Decode for ErrorCode {
    fn decode(input: &mut Bytes, what: &'static str) -> Result<Self, DecodeError> {
        i32::decode(input, what).map(Self)
    }
}
