//! The error of every operation, with the questions that a caller has about it.

use std::time::Duration;

use zk_wire::path::PathError;
use zk_wire::{DecodeError, ErrorCode};

use crate::servers::ServersError;
use crate::session::LoginError;

/// Reason why an operation failed.
///
/// Three questions decide what to do next: may a write have been applied, so that it must be checked before it is repeated
/// ([`may_have_been_applied`](Self::may_have_been_applied)); may the same call succeed later
/// ([`is_retryable`](Self::is_retryable)); is the session over, so that its ephemeral nodes are to be created again
/// ([`is_session_over`](Self::is_session_over)). The answers:
///
/// | variant | may have been applied | retryable | session over |
/// | --- | --- | --- | --- |
/// | [`Server`](Self::Server), [`Transaction`](Self::Transaction) | no | no | no |
/// | with `CONNECTION_LOSS`, `OPERATION_TIMEOUT`, `REQUEST_TIMEOUT` | yes | yes | no |
/// | with `SESSION_MOVED`, `NOT_READ_ONLY`, `THROTTLED_OP` | no | yes | no |
/// | with `SESSION_EXPIRED` | no | yes | yes |
/// | [`ConnectionLost`](Self::ConnectionLost), `sent` | yes | yes | no |
/// | `ConnectionLost`, not `sent` | no | yes | no |
/// | [`SessionExpired`](Self::SessionExpired) | no | yes | yes |
/// | [`Closed`](Self::Closed), `sent` | yes | no | yes |
/// | `Closed`, not `sent` | no | no | yes |
/// | [`Overloaded`](Self::Overloaded) | no | yes | no |
/// | [`Protocol`](Self::Protocol) | yes | no | no |
/// | [`Unreachable`](Self::Unreachable) | no | yes | no |
/// | [`TooLarge`](Self::TooLarge), [`InvalidPath`](Self::InvalidPath), [`Servers`](Self::Servers), [`Tls`](Self::Tls), [`Login`](Self::Login), [`NoRuntime`](Self::NoRuntime) | no | no | no |
///
/// A session that is not over may still end before the next call: [`Client::states`](crate::Client::states) tells.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let zk = zk_mini::ZkMini::start().await?;
/// # let client = zk_client::Client::connect(&zk.connect_string()).await?;
/// use zk_client::{CreateMode, ErrorCode};
///
/// // Each create after a lost answer finds out if an earlier one was applied.
/// let lost = zk.fault(zk_mini::On::create("/job").nth(1), zk_mini::Then::apply_and_lose_reply());
/// let mut is_in_doubt = false;
/// loop {
///     match client.create("/job", "mine", CreateMode::Persistent).await {
///         Ok(_) => break,
///         Err(error) if is_in_doubt && error.code() == Some(ErrorCode::NODE_EXISTS) => {
///             assert_eq!(client.get("/job").await?.0, "mine");
///             break;
///         }
///         Err(error) if error.is_retryable() => is_in_doubt |= error.may_have_been_applied(),
///         Err(error) => return Err(error.into()),
///     }
/// }
/// assert!(is_in_doubt && lost.fired() == 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server refused the operation.
    #[error("{op} {path}: {code}{}", hint(.op, *.code))]
    Server {
        /// ZooKeeper's name of the operation.
        op: &'static str,
        /// Path of the node, as the caller gave it.
        path: String,
        /// The server's answer.
        code: ErrorCode,
    },
    /// The server refused an operation of a [`Transaction`](crate::Transaction); nothing was done.
    #[error("operation {index} of the transaction, {op} {path}: {code}{}", hint(.op, *.code))]
    Transaction {
        /// Position of the operation that was refused, from 0.
        index: usize,
        /// ZooKeeper's name of the operation.
        op: &'static str,
        /// Path of the node, as the caller gave it.
        path: String,
        /// The server's answer.
        code: ErrorCode,
    },
    /// The connection broke before the answer came, or there was no connection within the call timeout.
    #[error("{op} {path}: {}", lost(*.sent))]
    ConnectionLost {
        /// ZooKeeper's name of the operation.
        op: &'static str,
        /// Path of the node, as the caller gave it.
        path: String,
        /// True if the request may have reached the server.
        sent: bool,
    },
    /// The session expired while the call waited for a connection. The client opens a new session; the ephemeral nodes and
    /// one-shot watches of the old one are gone.
    #[error("{op} {path}: the session has expired; the client opens a new one, so call again")]
    SessionExpired {
        /// ZooKeeper's name of the operation.
        op: &'static str,
        /// Path of the node, as the caller gave it.
        path: String,
    },
    /// The client is closed, or its tokio runtime has ended.
    #[error("{op} {path}: the client is closed{}; connect a new one", unanswered(*.sent))]
    Closed {
        /// ZooKeeper's name of the operation.
        op: &'static str,
        /// Path of the node, as the caller gave it.
        path: String,
        /// False if the request was certainly not sent: the client was closed already. True if the runtime ended meanwhile.
        sent: bool,
    },
    /// The caller is not inside a tokio runtime. Nothing was sent.
    #[error(
        "no tokio runtime: connect from async code that runs on one, with its I/O and time drivers (`enable_all`)"
    )]
    NoRuntime,
    /// Too many calls are waiting for their answers. Nothing was sent.
    #[error("{op} {path}: {limit} calls are waiting already; wait for some of them first")]
    Overloaded {
        /// ZooKeeper's name of the operation.
        op: &'static str,
        /// Path of the node, as the caller gave it.
        path: String,
        /// Maximum number of waiting calls.
        limit: usize,
    },
    /// The request is larger than servers accept (`jute.maxbuffer`). Nothing was sent: they would close the connection.
    #[error(
        "{op} {path}: the request takes {size} bytes and servers read at most {limit}; store less in a node, or \
         send less at a time"
    )]
    TooLarge {
        /// ZooKeeper's name of the operation.
        op: &'static str,
        /// Path of the node, as the caller gave it.
        path: String,
        /// Size of the request in bytes.
        size: usize,
        /// Maximum size in bytes.
        limit: usize,
    },
    /// The path cannot name a node. Nothing was sent.
    #[error("{op} {path:?}: {source}")]
    InvalidPath {
        /// ZooKeeper's name of the operation.
        op: &'static str,
        /// Path as given.
        path: String,
        /// Rule that the path breaks.
        source: PathError,
    },
    /// The server reported success with a body that is not an answer to this request.
    #[error("{op} {path}: the server's answer cannot be read: {source}")]
    Protocol {
        /// ZooKeeper's name of the operation.
        op: &'static str,
        /// Path of the node, as the caller gave it.
        path: String,
        /// Error of the decoder.
        source: DecodeError,
    },
    /// The list of servers is invalid.
    #[error(transparent)]
    Servers(#[from] ServersError),
    /// A server has not let the user of [`Builder::sasl`](crate::Builder::sasl) log in.
    #[error("login as {user}: {reason}")]
    Login {
        /// Name of the user.
        user: String,
        /// Reason of the failure.
        reason: LoginError,
    },
    /// TLS cannot be set up.
    #[error("the list of servers asks for TLS: {reason}")]
    Tls {
        /// Source that cannot be used, and why.
        reason: String,
    },
    /// No server of the list gave a session in time.
    #[error(
        "no ZooKeeper server could be reached within {within:?}; tried {}; check that one is running and that the \
         list is right",
        each(.tried)
    )]
    Unreachable {
        /// Time of the attempt.
        within: Duration,
        /// Every server of the list, with its last error.
        tried: Vec<Attempt>,
    },
}

/// Server of the list, with its last error.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Attempt {
    /// Server as `host:port`.
    pub server: String,
    /// Last error; `None` if the server was not tried.
    pub cause: Option<String>,
}

impl Error {
    /// Returns the server's answer, if it refused the operation.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Server { code, .. } | Self::Transaction { code, .. } => Some(*code),
            Self::SessionExpired { .. } => Some(ErrorCode::SESSION_EXPIRED),
            _ => None,
        }
    }

    /// Returns true if the same call may succeed later without any change. Check first if a write
    /// [`may_have_been_applied`](Self::may_have_been_applied).
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::ConnectionLost { .. } | Self::SessionExpired { .. } | Self::Overloaded { .. } => true,
            Self::Unreachable { .. } => true,
            Self::Server { code, .. } | Self::Transaction { code, .. } => matches!(
                *code,
                ErrorCode::CONNECTION_LOSS
                    | ErrorCode::OPERATION_TIMEOUT
                    | ErrorCode::REQUEST_TIMEOUT
                    | ErrorCode::SESSION_EXPIRED
                    | ErrorCode::SESSION_MOVED
                    | ErrorCode::NOT_READ_ONLY
                    | ErrorCode::THROTTLED_OP
            ),
            _ => false,
        }
    }

    /// Returns true if a write may have been applied although the call failed.
    #[must_use]
    pub fn may_have_been_applied(&self) -> bool {
        match self {
            Self::ConnectionLost { sent, .. } | Self::Closed { sent, .. } => *sent,
            Self::Protocol { .. } => true,
            Self::Server { code, .. } | Self::Transaction { code, .. } => matches!(
                *code,
                ErrorCode::CONNECTION_LOSS | ErrorCode::OPERATION_TIMEOUT | ErrorCode::REQUEST_TIMEOUT
            ),
            _ => false,
        }
    }

    /// Returns true if the session that the call was made in is over: its ephemeral nodes and one-shot watches are gone, or go
    /// by its timeout. Unless it is closed, the client opens a new one.
    #[must_use]
    pub fn is_session_over(&self) -> bool {
        matches!(self, Self::Closed { .. }) || self.code() == Some(ErrorCode::SESSION_EXPIRED)
    }
}

/// Returns what to do, where the server's answer alone is a riddle.
fn hint(op: &str, code: ErrorCode) -> &'static str {
    match (op, code) {
        ("create" | "create2" | "createTTL" | "createContainer", ErrorCode::NO_NODE) => {
            "; its parent, or the client's chroot, is missing: create that first, as `ensure_path` does"
        }
        ("createTTL", ErrorCode::UNIMPLEMENTED) => {
            "; nodes with a TTL need a server that runs with zookeeper.extendedTypesEnabled=true"
        }
        ("createTTL", ErrorCode::BAD_ARGUMENTS) => "; a TTL has to be 1 ms or more, and at most 34 years",
        ("auth", ErrorCode::AUTH_FAILED) => {
            "; the server does not know the scheme, or refuses the identity: check both, and the authentication \
             providers of the server"
        }
        ("multiRead", ErrorCode::UNIMPLEMENTED) => {
            "; several reads in one request need a server of version 3.6 or later"
        }
        (_, ErrorCode::SESSION_CLOSED_REQUIRE_SASL_AUTH) => {
            "; the server wants the client to authenticate first: see `Builder::sasl` and `Builder::auth`"
        }
        (_, ErrorCode::NOT_READ_ONLY) => {
            "; the connected server is cut off from the others and answers only reads, until the client has found another"
        }
        ("addWatch", ErrorCode::UNIMPLEMENTED) => {
            "; persistent watches need a server of version 3.6 or later"
        }
        _ => "",
    }
}

fn lost(sent: bool) -> &'static str {
    if sent {
        "the connection was lost before the answer; it may have been applied"
    } else {
        "no connection to a server in time; it was not sent"
    }
}

fn unanswered(sent: bool) -> &'static str {
    if sent { ", and its runtime has ended before the answer: it may have been applied" } else { "" }
}

fn each(attempts: &[Attempt]) -> String {
    let each = attempts
        .iter()
        .map(|Attempt { server, cause }| format!("{server} ({})", cause.as_deref().unwrap_or("not tried")));
    each.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_to_do_next() {
        let op = "create";
        let path = || "/a".to_owned();
        let server = |code| Error::Server { op, path: path(), code };
        for (error, retryable, applied, over) in [
            (Error::ConnectionLost { op, path: path(), sent: true }, true, true, false),
            (Error::ConnectionLost { op, path: path(), sent: false }, true, false, false),
            (Error::SessionExpired { op, path: path() }, true, false, true),
            (Error::Overloaded { op, path: path(), limit: 1 }, true, false, false),
            (Error::Closed { op, path: path(), sent: false }, false, false, true),
            (Error::Closed { op, path: path(), sent: true }, false, true, true),
            (Error::Unreachable { within: Duration::ZERO, tried: Vec::new() }, true, false, false),
            (Error::NoRuntime, false, false, false),
            (Error::Login { user: "bob".into(), reason: LoginError::NoSasl }, false, false, false),
            (server(ErrorCode::NODE_EXISTS), false, false, false),
            (server(ErrorCode::SESSION_MOVED), true, false, false),
            (server(ErrorCode::NOT_READ_ONLY), true, false, false),
            (server(ErrorCode::SESSION_EXPIRED), true, false, true),
            (server(ErrorCode::OPERATION_TIMEOUT), true, true, false),
            (server(ErrorCode(-9_999)), false, false, false),
        ] {
            assert_eq!(
                (error.is_retryable(), error.may_have_been_applied(), error.is_session_over()),
                (retryable, applied, over),
                "{error}"
            );
        }
    }
}
