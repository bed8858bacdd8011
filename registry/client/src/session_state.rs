//! Public data of a session: its state, its credentials, the reasons of its end. No runtime here: the session core uses it.

use std::fmt;

use bytes::Bytes;
use zk_wire::SessionId;

/// State of a client's session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SessionState {
    /// The client opens its first session, or a new one after an expired one.
    Connecting,
    /// The session is live and a server is connected. A new id means that the earlier session is gone, with its ephemeral
    /// nodes and one-shot watches.
    Connected(SessionId),
    /// The session is live, and the connected server is in read-only mode: cut off from the others, it answers reads from data
    /// that may be old. Only with [`Builder::read_only`](crate::Builder::read_only).
    ConnectedReadOnly(SessionId),
    /// No server is connected. After the session timeout the session *may* be gone, but only a server knows: an ensemble
    /// without a leader ends no session. It ends when a server says so, or shows that it has lost data that this client has
    /// seen.
    Disconnected(SessionId),
    /// The client is closed. This state is the last.
    Closed(CloseReason),
}

impl SessionState {
    /// Returns true if a server is connected, in either mode.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        matches!(self, Self::Connected(_) | Self::ConnectedReadOnly(_))
    }
}

impl fmt::Display for SessionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connecting => f.write_str("connecting"),
            Self::Connected(id) => write!(f, "connected, session {id}"),
            Self::ConnectedReadOnly(id) => write!(f, "connected to a read-only server, session {id}"),
            Self::Disconnected(id) => write!(f, "disconnected, session {id}"),
            Self::Closed(CloseReason::Requested) => f.write_str("closed"),
            Self::Closed(CloseReason::Unconfirmed) => f.write_str("closed, and no server has confirmed it"),
            Self::Closed(CloseReason::RuntimeEnded) => f.write_str("closed with its runtime"),
        }
    }
}

/// Reason why a client is [`SessionState::Closed`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum CloseReason {
    /// The client was closed, or its last handle was dropped, and the session has ended.
    Requested,
    /// The client was closed, or its last handle was dropped, but no server confirmed it in time: the session, and its ephemeral
    /// nodes, may live on until the session timeout.
    Unconfirmed,
    /// The client's tokio runtime has ended.
    RuntimeEnded,
}

/// Proof of ownership of a session: its holder can take the session over or close it, see
/// [`close_session`](crate::close_session).
#[derive(Clone, Eq, PartialEq)]
pub struct Credentials {
    /// Session.
    pub id: SessionId,
    /// Password of the session, made by the server.
    pub password: Bytes,
}

/// Leaves the password out, so that it does not get into logs.
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
