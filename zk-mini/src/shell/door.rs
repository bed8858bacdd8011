//! Lets one wait until a listening socket has no connection left that came before.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

use tokio::sync::oneshot;

use crate::shell::turn::Wakers;

/// Dropped when those who were waiting have been accepted.
type Asked = oneshot::Sender<Infallible>;

/// Between one who waits and the task that accepts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Door(Arc<Mutex<DoorState>>);

#[derive(Debug, Default)]
struct DoorState {
    asked: Vec<Asked>,
    /// The task that accepts, while it waits.
    task: Option<Waker>,
}

impl Door {
    /// Asks the task to accept all that wait. The error of what comes back is the signal that it has.
    pub(crate) fn ask(&self, wakers: &mut Wakers) -> oneshot::Receiver<Infallible> {
        let (asked, accepted) = oneshot::channel();
        self.with(|state| {
            // Without a task nobody is accepted any more.
            if state.task.is_some() {
                wakers.add(state.task.clone());
                state.asked.push(asked);
            }
        });
        accepted
    }

    /// Accepts: `accept` says whether somebody was there.
    pub(crate) fn accept<T>(
        &self,
        task: &Waker,
        accept: impl FnOnce() -> T,
        is_empty: impl FnOnce(&T) -> bool,
    ) -> T {
        let asked = self.with(|state| {
            state.task = Some(task.clone());
            std::mem::take(&mut state.asked)
        });
        let accepted = accept();
        if !is_empty(&accepted) {
            self.with(|state| state.asked.extend(asked));
        }
        accepted
    }

    /// Nobody is accepted any more.
    pub(crate) fn close(&self) {
        self.with(|state| *state = DoorState::default());
    }

    fn with<T>(&self, work: impl FnOnce(&mut DoorState) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
