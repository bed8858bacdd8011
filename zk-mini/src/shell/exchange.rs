//! Restarts, and the exchange of the whole state of a server, while its tasks go on.

use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use crate::core::{ConnId, Core, Image, Now, Replacement};
use crate::shell::change::Performing;
use crate::shell::engine::Engine;
use crate::storage::StorageError;

/// Reason why the state is not exchanged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NoExchange {
    Stopped,
    /// The disk is lost.
    ReadOnly,
}

/// Result of asking for the loss of what is not durable.
pub(crate) enum Losing {
    /// It is done when the receiver says so.
    Asked(oneshot::Receiver<Result<(), StorageError>>),
    /// There is no data directory.
    InMemory,
}

impl Engine {
    /// Does a change that closes all connections. Returns when that is durable, and the connections have ended. `None` if the
    /// server has been stopped.
    pub(crate) async fn change_and_close<T>(&self, change: impl FnOnce(&mut Core, Now) -> T) -> Option<T> {
        let (result, performing) = self.change(change)?;
        self.performed(performing).await;
        self.closed().await;
        Some(result)
    }

    /// Exchanges the state of the core for another. Returns the former state.
    pub(crate) fn exchange(&self, next: Core, why: Replacement) -> Result<(Core, Performing), NoExchange> {
        // Taken outside of the lock; its number is not known yet.
        let image = self.setup.files.as_ref().map(|_| next.image());
        self.turn(|state, turn| {
            if state.stopped {
                return Err(NoExchange::Stopped);
            }
            if state.core.is_read_only() {
                return Err(NoExchange::ReadOnly);
            }
            state.core.begin(turn.now);
            let former = state.core.replace(turn.now, next, why);
            state.perform_all(None, turn);
            if let (Some(journal), Some(image)) = (&mut state.journal, image) {
                let last_zxid = state.core.last_zxid();
                let digest = state.core.digest().map(|digest| (last_zxid, digest));
                journal.exchange(Image { last_zxid, digest, ..image });
            }
            Ok((former, Performing::of(state)))
        })
    }

    /// Asks the keeper to lose what is not durable. From now on nobody hears of the present state.
    pub(crate) fn lose_unsynced(&self) -> Result<Losing, NoExchange> {
        self.turn(|state, turn| {
            if state.stopped {
                return Err(NoExchange::Stopped);
            }
            if state.core.is_read_only() {
                return Err(NoExchange::ReadOnly);
            }
            let Some(journal) = &mut state.journal else { return Ok(Losing::InMemory) };
            journal.doom();
            state.connections.drop_all(turn);
            let (losing, lost) = oneshot::channel();
            state.losing = Some(losing);
            Ok(Losing::Asked(lost))
        })
        .inspect(|_| self.journal_filled.notify_one())
    }

    /// Goes on with the durable state. No client was told of a later one since the loss was asked for.
    pub(crate) fn go_on_with(&self, durable: Core) {
        let former = self.turn(|state, turn| {
            if let Some(journal) = &mut state.journal {
                journal.lose();
            }
            // Also those whose close was lost with the state.
            state.connections.close_all_by_core(turn);
            state.core.begin(turn.now);
            let former = state.core.replace(turn.now, durable, Replacement::Loss);
            state.perform_all(None, turn);
            state.core.mark_zxid(turn.now);
            state.perform_all(None, turn);
            former
        });
        self.settled.notify_waiters();
        // Dropping a million nodes takes a while.
        spawn_blocking(move || drop(former));
    }

    /// Waits until the connections that the core has closed have ended. Peers that do not read lose what is queued for them.
    pub(crate) async fn closed(&self) {
        let limit = self.turn(|state, turn| {
            let limit: ConnId = state.connections.next_id();
            state.connections.hurry(limit, turn);
            limit
        });
        loop {
            let ended = self.connection_ended.notified();
            if !self.look(|state| state.connections.has_closing(limit)) {
                return;
            }
            ended.await;
        }
    }
}
