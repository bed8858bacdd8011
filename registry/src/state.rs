//! How a registry stands to its servers, without the client's types.

use tokio::sync::watch;
use zk_client::State;

/// How a [`Registry`](crate::Registry) stands to its servers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ConnectionState {
    /// The first session, or the one after an expired one, is being opened.
    Connecting,
    /// A server is connected.
    Connected,
    /// No server is connected; the session, and with it our nodes, may live on.
    Disconnected,
    /// Closed, for ever.
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

/// The connection's state, now and from now on; see [`Registry::connection`](crate::Registry::connection).
#[derive(Clone, Debug)]
pub struct Connection {
    states: watch::Receiver<State>,
}

impl Connection {
    pub(crate) fn new(states: watch::Receiver<State>) -> Self {
        Self { states }
    }

    /// The state now.
    #[must_use]
    pub fn current(&self) -> ConnectionState {
        (*self.states.borrow()).into()
    }

    /// Waits for a change: of the state, or of the session under it. [`ConnectionState::Closed`] is the last.
    pub async fn changed(&mut self) -> ConnectionState {
        match self.states.changed().await {
            Ok(()) => (*self.states.borrow_and_update()).into(),
            Err(_) => ConnectionState::Closed,
        }
    }
}
