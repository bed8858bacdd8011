//! Barrier: waits until all connections that have arrived at a socket are accepted.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

use tokio::sync::oneshot;

use crate::shell::turn::Wakers;

/// Dropped when the connections that waited have been accepted.
type AcceptWaiter = oneshot::Sender<Infallible>;

/// Link between a task that waits and the task that accepts.
#[derive(Clone, Debug, Default)]
pub(crate) struct AcceptBarrier(Arc<Mutex<AcceptState>>);

#[derive(Debug, Default)]
struct AcceptState {
    waiters: Vec<AcceptWaiter>,
    /// The accepting task, while it waits.
    task: Option<Waker>,
}

impl AcceptBarrier {
    /// Asks the accepting task to accept all connections that wait. The receiver fails when it has: that is the
    /// signal.
    pub(crate) fn ask(&self, wakers: &mut Wakers) -> oneshot::Receiver<Infallible> {
        let (waiter, accepted) = oneshot::channel();
        self.with(|state| {
            // Without an accepting task no connection is accepted any more.
            if state.task.is_some() {
                wakers.add(state.task.clone());
                state.waiters.push(waiter);
            }
        });
        accepted
    }

    /// Calls `accept`; if `is_empty` of its result, no connection is left, and the waiters are released.
    pub(crate) fn accept<T>(
        &self,
        task: &Waker,
        accept: impl FnOnce() -> T,
        is_empty: impl FnOnce(&T) -> bool,
    ) -> T {
        let waiters = self.with(|state| {
            state.task = Some(task.clone());
            std::mem::take(&mut state.waiters)
        });
        let accepted = accept();
        if !is_empty(&accepted) {
            self.with(|state| state.waiters.extend(waiters));
        }
        accepted
    }

    /// Wakes the accepting task: there are other sockets.
    pub(crate) fn wake(&self) {
        if let Some(task) = self.with(|state| state.task.clone()) {
            task.wake();
        }
    }

    /// Releases all waiters: no connection is accepted any more.
    pub(crate) fn close(&self) {
        self.with(|state| *state = AcceptState::default());
    }

    fn with<T>(&self, work: impl FnOnce(&mut AcceptState) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
