//! State of the connection to the servers, without the client's types.

use zk_client::{SessionState, SessionStates};

/// State of a [`Registry`](crate::Registry)'s connection to the servers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ConnectionState {
    /// The first session, or the one after an expired one, is being opened.
    Connecting,
    /// A server is connected.
    Connected,
    /// No server is connected; the session, and with it our instances, may live on.
    Disconnected,
    /// Closed. Final.
    Closed,
}

impl From<SessionState> for ConnectionState {
    fn from(state: SessionState) -> Self {
        match state {
            SessionState::Connecting => Self::Connecting,
            SessionState::Connected(_) => Self::Connected,
            SessionState::Disconnected(_) | SessionState::ConnectedReadOnly(_) => Self::Disconnected,
            SessionState::Closed(_) => Self::Closed,
        }
    }
}

/// Follows the state of the connection to the servers; see [`Registry::connection`](crate::Registry::connection).
#[derive(Clone, Debug)]
pub struct ConnectionStates {
    states: SessionStates,
}

impl ConnectionStates {
    pub(crate) fn new(states: SessionStates) -> Self {
        Self { states }
    }

    /// Returns the current state.
    #[must_use]
    pub fn current(&self) -> ConnectionState {
        self.states.current().into()
    }

    /// Waits for a change of the state, or of the session below it, and returns the new state; `None` after
    /// [`ConnectionState::Closed`]. Dropping the future loses nothing.
    pub async fn changed(&mut self) -> Option<ConnectionState> {
        self.states.changed().await.map(Into::into)
    }
}
