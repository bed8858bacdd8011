//! Where calls that run on tasks of their own leave their replies for the connection.

use rpc_wire::CallId;
use std::{
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// Replies on their way to the connection's task, which writes all that there are at once.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct State {
    frames: Vec<u8>,
    done: Vec<CallId>,
}

impl Outbox {
    /// Adds the encoded reply of a call that has ended.
    pub(crate) fn push(&self, id: CallId, frame: &[u8]) {
        let mut state = self.lock();
        state.frames.extend_from_slice(frame);
        state.done.push(id);
        drop(state);
        self.filled.notify_one();
    }

    /// Completes when there may be something to take.
    pub(crate) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Moves the replies to the end of `out` and returns whose they are.
    pub(crate) fn take(&self, out: &mut Vec<u8>) -> Vec<CallId> {
        let mut state = self.lock();
        if out.is_empty() {
            mem::swap(out, &mut state.frames);
        } else {
            out.append(&mut state.frames);
        }
        mem::take(&mut state.done)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
