//! What a client tells about its session.

use std::fmt;

use bytes::Bytes;
use zk_wire::SessionId;

/// How a client stands to the servers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SessionState {
    /// There is no session yet: the first one, or the one after an expired one, is being opened.
    Connecting,
    /// The session is live and a server is connected. A different id than before means that the earlier
    /// session is gone, with its ephemeral nodes and watches.
    Connected(SessionId),
    /// No server is connected. The session lives on until a server says otherwise, or shows that it has lost what this
    /// client has seen. When this lasts longer
    /// than the session timeout the session *may* be gone, but only a server knows: an ensemble without a
    /// leader expires nobody.
    Disconnected(SessionId),
    /// There will be no session any more.
    Closed(CloseReason),
}

impl fmt::Display for SessionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connecting => f.write_str("connecting"),
            Self::Connected(id) => write!(f, "connected, session {id}"),
            Self::Disconnected(id) => write!(f, "disconnected, session {id}"),
            Self::Closed(CloseReason::Requested) => f.write_str("closed"),
            Self::Closed(CloseReason::RuntimeEnded) => f.write_str("closed with its runtime"),
        }
    }
}

/// Why a client is [`SessionState::Closed`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum CloseReason {
    /// It was closed, or its last handle was dropped.
    Requested,
    /// The tokio runtime that it was made in has ended.
    RuntimeEnded,
}

/// What proves that a session is one's own. Who has them can take the session over or close it, see
/// [`close_session`](crate::close_session).
#[derive(Clone, Eq, PartialEq)]
pub struct Credentials {
    /// The session.
    pub id: SessionId,
    /// Its password, made by the server.
    pub password: Bytes,
}

/// The password stays out of logs.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("id", &format_args!("{}", self.id)).finish_non_exhaustive()
    }
}

/// Reason why a watch ended without an event.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WatchLost {
    /// The session of the watch has expired. Read again in the new session, with a new watch.
    #[error("the watch was lost with its session, which has expired; read again with a new watch")]
    SessionExpired,
    /// The client was closed.
    #[error("the watch was lost because the client was closed")]
    Closed,
}
