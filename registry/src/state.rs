//! State of the connection to the servers, without the client's types.

use tokio::sync::watch;
use zk_client::State;

/// State of a [`Registry`](crate::Registry)'s connection to the servers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
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

impl From<State> for ConnectionState {
    fn from(state: State) -> Self {
        match state {
            State::Connecting => Self::Connecting,
            State::Connected(_) => Self::Connected,
            State::Disconnected(_) => Self::Disconnected,
            State::Closed(_) => Self::Closed,
        }
    }
}

/// Follows the state of the connection to the servers; see [`Registry::connection`](crate::Registry::connection).
#[derive(Clone, Debug)]
pub struct ConnectionStates {
    states: watch::Receiver<State>,
}

impl ConnectionStates {
    pub(crate) fn new(states: watch::Receiver<State>) -> Self {
        Self { states }
    }

    /// Returns the current state.
    #[must_use]
    pub fn current(&self) -> ConnectionState {
        (*self.states.borrow()).into()
    }

    /// Waits for a change of the state, or of the session below it, and returns the new state; `None` after
    /// [`ConnectionState::Closed`]. Dropping the future loses nothing.
    pub async fn changed(&mut self) -> Option<ConnectionState> {
        // The last state has been seen.
        if self.current() == ConnectionState::Closed && !self.states.has_changed().unwrap_or(false) {
            return None;
        }
        self.states.changed().await.ok()?;
        Some((*self.states.borrow_and_update()).into())
    }
}
