//! One-shot watches.

use tokio::sync::oneshot;
use zk_wire::WatchedEvent;

use crate::command::WatchOutcome;
use crate::intake::WeakCommands;
use crate::session::CallId;
use crate::session_state::WatchLost;

/// A one-shot watch: tells the next change of a node, or that the watch is lost.
///
/// A watch survives reconnects of its session: the client sets it again, and the server tells at once what was missed.
/// Dropping it withdraws it at the server, unless another handle has the same watch or it has fired.
#[derive(Debug)]
#[must_use = "a watch that is dropped tells nothing"]
pub struct Watch {
    id: CallId,
    progress: WatchProgress,
    commands: WeakCommands,
}

#[derive(Debug)]
enum WatchProgress {
    Pending(oneshot::Receiver<WatchOutcome>),
    Known(WatchOutcome),
}

impl Watch {
    pub(crate) fn new(id: CallId, outcome: oneshot::Receiver<WatchOutcome>, commands: WeakCommands) -> Self {
        Self { id, progress: WatchProgress::Pending(outcome), commands }
    }

    /// Waits for the change. Every later call returns the same result. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`WatchLost`] if the watch ended without an event.
    pub async fn changed(&mut self) -> Result<WatchedEvent, WatchLost> {
        let outcome = match &mut self.progress {
            WatchProgress::Known(outcome) => return outcome.clone(),
            WatchProgress::Pending(receiver) => receiver.await.unwrap_or(Err(WatchLost::Closed)),
        };
        self.progress = WatchProgress::Known(outcome.clone());
        outcome
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let WatchProgress::Pending(_) = self.progress {
            self.commands.forget(self.id);
        }
    }
}
