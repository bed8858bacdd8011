//! One-shot watches.

use tokio::sync::{mpsc, oneshot};
use zk_wire::WatchedEvent;

use crate::driver::Command;
use crate::session::CallId;

/// A one-shot watch: tells once that the node changed, or that the watch is lost.
///
/// It survives reconnects of its session: the client sets it again, and the server tells at once what was
/// missed. Dropping it makes the client forget it.
#[derive(Debug)]
#[must_use = "a watch that is dropped tells nothing"]
pub struct Watch {
    id: CallId,
    outcome: Outcome,
    /// Weak: a watch does not keep the client open.
    commands: mpsc::WeakUnboundedSender<Command>,
}

/// Why a watch will never tell of a change.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WatchLost {
    /// The session that it belonged to has expired. Read again in the new one, with a new watch.
    #[error("the watch was lost with its session, which has expired; read again and watch anew")]
    SessionExpired,
    /// The client was closed.
    #[error("the watch was lost because the client was closed")]
    Closed,
}

#[derive(Debug)]
enum Outcome {
    Pending(oneshot::Receiver<Result<WatchedEvent, WatchLost>>),
    Known(Result<WatchedEvent, WatchLost>),
}

impl Watch {
    pub(crate) fn new(
        id: CallId,
        outcome: oneshot::Receiver<Result<WatchedEvent, WatchLost>>,
        commands: mpsc::WeakUnboundedSender<Command>,
    ) -> Self {
        Self { id, outcome: Outcome::Pending(outcome), commands }
    }

    /// Waits for the change. Dropping the future loses nothing; after the first result every later call
    /// gives the same one.
    ///
    /// # Errors
    /// [`WatchLost`] if the watch ended without one.
    pub async fn changed(&mut self) -> Result<WatchedEvent, WatchLost> {
        let outcome = match &mut self.outcome {
            Outcome::Known(outcome) => return outcome.clone(),
            Outcome::Pending(receiver) => receiver.await.unwrap_or(Err(WatchLost::Closed)),
        };
        self.outcome = Outcome::Known(outcome.clone());
        outcome
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let (Outcome::Pending(_), Some(commands)) = (&self.outcome, self.commands.upgrade()) {
            // A closed channel: nobody remembers the watch.
            let _ = commands.send(Command::Forget(self.id));
        }
    }
}
