//! The stream of a client's session states, over tokio's watch channel.

use tokio::sync::watch;

use crate::session_state::SessionState;

/// Follows the state of a client's session; see [`Client::states`](crate::Client::states).
///
/// Of several states in quick succession only the latest may be returned.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let zk = zk_mini::ZkMini::start().await?;
/// # let servers = zk.connect_string();
/// use zk_client::{Client, CloseReason, SessionState};
///
/// let client = Client::connect(&servers).await?;
/// let mut states = client.states();
/// assert!(matches!(states.current(), SessionState::Connected(_)));
/// client.close().await?;
/// assert_eq!(states.changed().await, Some(SessionState::Closed(CloseReason::Requested)));
/// assert_eq!(states.changed().await, None);
/// assert_eq!(states.wait_for(|state| matches!(state, SessionState::Connected(_))).await, None);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SessionStates {
    states: watch::Receiver<SessionState>,
}

impl SessionStates {
    pub(crate) fn new(states: watch::Receiver<SessionState>) -> Self {
        Self { states }
    }

    /// Returns the current state.
    #[must_use]
    pub fn current(&self) -> SessionState {
        *self.states.borrow()
    }

    /// Waits for the next state; the first is the one after [`Client::states`](crate::Client::states). Returns `None` after
    /// [`SessionState::Closed`], which is the last. Dropping the future loses nothing.
    pub async fn changed(&mut self) -> Option<SessionState> {
        {
            // One look for both: the client may be closed at any time, and that state must be returned once.
            let state = self.states.borrow_and_update();
            if state.has_changed() {
                return Some(*state);
            }
            if matches!(*state, SessionState::Closed(_)) {
                return None;
            }
        }
        self.states.changed().await.ok()?;
        Some(*self.states.borrow_and_update())
    }

    /// Returns the next state if [`Self::changed`] would not wait.
    pub fn try_changed(&mut self) -> Option<SessionState> {
        let state = self.states.borrow_and_update();
        state.has_changed().then_some(*state)
    }

    /// Waits until the current state, or a later one, fulfils `wanted`, and returns it. Returns `None` if the client is closed
    /// before. [`Self::changed`] then waits for a later state.
    pub async fn wait_for(&mut self, mut wanted: impl FnMut(&SessionState) -> bool) -> Option<SessionState> {
        let mut is_wanted = false;
        let is_end = |state: &SessionState| {
            is_wanted = wanted(state);
            is_wanted || matches!(state, SessionState::Closed(_))
        };
        let state = *self.states.wait_for(is_end).await.ok()?;
        is_wanted.then_some(state)
    }
}
