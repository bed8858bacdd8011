//! Errors of the client's commands: what was wrong, what to do, and the exit status.

use std::io;
use std::time::Duration;

use zk_client::{Attempt, ErrorCode, ServersError};
use zk_wire::path::PathError;

/// Failure of a command of the client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error(transparent)]
    Servers(#[from] ServersError),
    #[error(
        "no ZooKeeper server could be reached within {within:.1?}; tried {tried}; start one with `zk-mini serve`, or name \
         another with --server HOST:PORT or in ZK_HOSTS"
    )]
    Unreachable { within: Duration, tried: String },
    #[error("{}", refusal(.op, .path, *.code))]
    Refused { op: &'static str, path: String, code: ErrorCode },
    #[error("{path}: {source}")]
    Path { path: String, source: PathError },
    #[error(transparent)]
    Zk(zk_client::Error),
    #[error("no answer within {within:.1?}; --timeout sets another limit; a write may have been applied")]
    NoAnswer { within: Duration },
    #[error("{seen} of {wanted} events within {within:.1?}")]
    TooFewEvents { seen: usize, wanted: usize, within: Duration },
    #[error("{path}: the session has expired, and the node is gone with it; create it again")]
    NodeLost { path: String },
    #[error("/ cannot be deleted; name the nodes below it")]
    Root,
    #[error("{path}: still has children after {rounds} rounds; somebody goes on creating them")]
    StillFilled { path: String, rounds: usize },
    #[error("cannot read {what}: {source}")]
    Input { what: String, source: io::Error },
    #[error("cannot write {file}: {source}")]
    File { file: String, source: io::Error },
    #[error(
        "{origin}: an identity is SCHEME:CREDENTIALS, as in digest:user:password, and there is one without a colon"
    )]
    Identity { origin: &'static str },
    #[error("the address {url:?} of --http or ZK_MINI_HTTP is not of the form http://HOST:PORT")]
    Url { url: String },
    #[error("the token in the file of --http-token-file has a character that HTTP cannot send")]
    BadToken,
    #[error(
        "no server could be reached; tried {tried}; name a zk-mini with --server HOST:PORT or in ZK_HOSTS"
    )]
    NoHttp { tried: String },
    #[error(
        "{who}; this command needs zk-mini, which answers HTTP at its ZooKeeper port, unless it was started with `--http \
         off`, or listens beyond this machine without a token; --http names another port"
    )]
    NoZkMini { who: String },
    #[error("the connection to {address} was lost: {cause}")]
    HttpLost { address: String, cause: String },
    #[error("the server refuses: {message}{hint}")]
    HttpRefused { message: String, hint: &'static str, exit: u8 },
    #[error(
        "the server speaks version {api} of the interface, and this program knows up to {known}; update it"
    )]
    NewerApi { api: u64, known: u64 },
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
    #[error("cannot handle signals: {0}")]
    Signals(io::Error),
    #[error("cannot start the runtime: {0}")]
    Runtime(io::Error),
    #[error(
        "the list is not complete: the ACLs of {0} nodes hide their children; give an identity in ZK_AUTH"
    )]
    Hidden(usize),
}

/// Exit statuses, as the help texts list them.
pub(crate) const FAILURE: u8 = 1;
pub(crate) const USAGE: u8 = 2;
const UNREACHABLE: u8 = 3;
const NO_NODE: u8 = 4;
const NODE_EXISTS: u8 = 5;
const NOT_EMPTY: u8 = 6;
const BAD_VERSION: u8 = 7;
pub(crate) const NO_AUTH: u8 = 8;
const NO_ZK_MINI: u8 = 9;

/// Section of the help text of each command.
pub(crate) const STATUSES: &str = "\
Status:
  0  done
  1  the server refused for another reason, or the output cannot be written
  2  a bad option, path, list of servers or file
  3  no server reached, connection lost, or no answer in time
  4  no such node        6  the node has children          8  not authorised
  5  the node exists     7  the version is another one     9  the server has no HTTP of zk-mini";

impl ClientError {
    /// Returns the exit status.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Servers(_)
            | Self::Path { .. }
            | Self::Input { .. }
            | Self::Identity { .. }
            | Self::Root => USAGE,
            Self::Unreachable { .. } | Self::NoAnswer { .. } | Self::TooFewEvents { .. } => UNREACHABLE,
            Self::Zk(zk_client::Error::TooLarge { .. } | zk_client::Error::Tls { .. }) => USAGE,
            Self::Zk(error) if error.is_retryable() => UNREACHABLE,
            Self::NodeLost { .. } => UNREACHABLE,
            Self::StillFilled { .. } => NOT_EMPTY,
            Self::Hidden(_) => NO_AUTH,
            Self::HttpRefused { exit, .. } => *exit,
            Self::Url { .. } | Self::BadToken => USAGE,
            Self::NoHttp { .. } | Self::HttpLost { .. } => UNREACHABLE,
            Self::NoZkMini { .. } => NO_ZK_MINI,
            Self::Refused { code, .. } => match *code {
                ErrorCode::NO_NODE => NO_NODE,
                ErrorCode::NODE_EXISTS => NODE_EXISTS,
                ErrorCode::NOT_EMPTY => NOT_EMPTY,
                ErrorCode::BAD_VERSION => BAD_VERSION,
                ErrorCode::NO_AUTH | ErrorCode::AUTH_FAILED => NO_AUTH,
                ErrorCode::SESSION_EXPIRED | ErrorCode::CONNECTION_LOSS => UNREACHABLE,
                _ => FAILURE,
            },
            _ => FAILURE,
        }
    }

    /// Returns true if another attempt to connect may succeed.
    pub(crate) fn is_of_the_connection(&self) -> bool {
        // A server that is about to end, or has just begun, closes connections without an answer.
        matches!(
            self,
            Self::NoHttp { .. } | Self::HttpLost { .. } | Self::NoZkMini { .. } | Self::NoAnswer { .. }
        )
    }

    /// Returns the server's answer, if it refused the operation.
    pub(crate) fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }
}

impl From<zk_client::Error> for ClientError {
    fn from(error: zk_client::Error) -> Self {
        match error {
            zk_client::Error::Servers(error) => Self::Servers(error),
            zk_client::Error::Unreachable { within, tried } => {
                Self::Unreachable { within, tried: shown(&tried) }
            }
            zk_client::Error::InvalidPath { path, source, .. } => Self::Path { path, source },
            zk_client::Error::Server { op, path, code } if has_words(code) => {
                Self::Refused { op, path, code }
            }
            error => Self::Zk(error),
        }
    }
}

fn shown(attempts: &[Attempt]) -> String {
    let each = attempts.iter().map(|Attempt { server, cause, .. }| {
        format!("{server} ({})", cause.as_deref().unwrap_or("not tried"))
    });
    each.collect::<Vec<_>>().join(", ")
}

/// Returns true for a code that [`refusal`] explains; the client's own error explains the others.
fn has_words(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::NO_NODE
            | ErrorCode::NODE_EXISTS
            | ErrorCode::NOT_EMPTY
            | ErrorCode::BAD_VERSION
            | ErrorCode::NO_AUTH
            | ErrorCode::AUTH_FAILED
            | ErrorCode::INVALID_ACL
            | ErrorCode::NO_CHILDREN_FOR_EPHEMERALS
    )
}

fn refusal(op: &str, path: &str, code: ErrorCode) -> String {
    match code {
        ErrorCode::NO_NODE if op.starts_with("create") => {
            format!("{path}: its parent does not exist; --parents creates what is missing")
        }
        ErrorCode::NO_NODE if path == "/" => {
            format!("{path}: the chroot of the list of servers does not exist; `create --parents` makes it")
        }
        ErrorCode::NO_NODE => format!("{path}: no such node"),
        ErrorCode::NODE_EXISTS => format!("{path}: the node exists; `zk-mini set` changes its data"),
        ErrorCode::NOT_EMPTY => format!("{path}: the node has children; -r deletes them, too"),
        ErrorCode::BAD_VERSION => {
            format!("{path}: the version is not the expected one; `zk-mini stat` shows the present one")
        }
        ErrorCode::NO_AUTH => format!(
            "{path}: not allowed by the ACL of the node, or for create and rm of its parent; see `zk-mini acl`, and give an \
             identity in ZK_AUTH or --auth-file"
        ),
        ErrorCode::AUTH_FAILED => format!("the server does not accept the identity of scheme {path}"),
        ErrorCode::INVALID_ACL => format!(
            "{path}: the server does not accept the ACL; an entry is SCHEME:ID:PERMISSIONS, as in world:anyone:r, and \
             `auth` needs an identity in ZK_AUTH"
        ),
        ErrorCode::NO_CHILDREN_FOR_EPHEMERALS => format!("{path}: an ephemeral node cannot have children"),
        code => format!("{path}: {code}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_with_words_has_its_own() {
        for &code in ErrorCode::ALL.iter().filter(|code| has_words(**code)) {
            assert_ne!(refusal("setData", "/a", code), format!("/a: {code}"), "{code}");
        }
    }
}
