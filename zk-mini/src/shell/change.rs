//! Changes of the core without an input: those that the owner of a server asks for.

use crate::core::{Core, Now};
use crate::shell::engine::Engine;
use crate::shell::journal::{Journal, Mark};
use crate::shell::state::ServerState;

/// Point in the sequence of outputs of a server; `None` if nothing ever waits for the disk.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub(crate) struct Performing(Option<Mark>);

impl Performing {
    /// Returns the point behind all outputs so far.
    pub(crate) fn of(state: &ServerState) -> Self {
        Self(state.journal.as_ref().map(Journal::mark))
    }
}

impl Engine {
    /// Changes the core, and performs the outputs, or holds them until they are durable. `None` if the server has been
    /// stopped.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Core, Now) -> T) -> Option<(T, Performing)> {
        self.turn(|state, turn| {
            if state.stopped {
                return None;
            }
            state.core.begin(turn.now);
            let result = change(&mut state.core, turn.now);
            state.core.perform_effects();
            state.perform_all(None, turn);
            Some((result, Performing::of(state)))
        })
    }

    /// Waits until outputs have been performed: what they persist is durable, and what they send is written, as far as
    /// the peers take it. Returns false if the disk failed before.
    pub(crate) async fn performed(&self, Performing(mark): Performing) -> bool {
        if let Some(mark) = mark
            && !self.durable(mark).await
        {
            return false;
        }
        for barrier in self.barriers() {
            // Its sender is dropped when the barrier is passed.
            let _ = barrier.await;
        }
        true
    }

    async fn durable(&self, mark: Mark) -> bool {
        loop {
            let settled = self.settled.notified();
            let passed = self.look(|state| {
                let journal = state.journal.as_ref()?;
                journal.has_passed(mark).then(|| !journal.has_lost(mark))
            });
            if let Some(kept) = passed {
                return kept;
            }
            settled.await;
        }
    }

    /// Notes that nothing is written to the disk any more: outputs that still wait, or come later, are never performed.
    pub(crate) fn keeper_ended(&self) {
        self.turn(|state, _| {
            if let Some(journal) = &mut state.journal {
                journal.end();
            }
        });
        self.settled.notify_waiters();
    }
}
