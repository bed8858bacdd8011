//! Messages of the client on their way from the connection's task to a handler.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use rpc_wire::CallId;

use crate::shared_reply_queue::SharedReplyQueue;

/// Messages of one call that its handler has not taken. The client's window bounds them.
#[derive(Debug)]
pub(crate) struct Inbox {
    id: CallId,
    reply_queue: Arc<SharedReplyQueue>,
    state: Mutex<InboxState>,
}

#[derive(Debug, Default)]
struct InboxState {
    /// Frames of messages, whose length is their cost.
    frames: Vec<u8>,
    end: Option<InboxEnd>,
    /// The handler takes no more: messages are dropped.
    is_unwanted: bool,
    waker: Option<Waker>,
}

/// Reason for which no message follows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum InboxEnd {
    /// The client has sent its last message.
    Complete,
    /// The call has ended.
    Cut,
}

impl Inbox {
    pub(crate) fn new(id: CallId, reply_queue: Arc<SharedReplyQueue>) -> Self {
        Self { id, reply_queue, state: Mutex::default() }
    }

    /// Adds messages, as frames.
    pub(crate) fn push(&self, frames: &[u8]) {
        let mut state = self.lock();
        if state.is_unwanted {
            drop(state);
            self.taken(frames.len());
            return;
        }
        state.frames.extend_from_slice(frames);
        wake(state);
    }

    /// Tells the handler that no message follows. The first reason counts.
    pub(crate) fn end(&self, end: InboxEnd) {
        let mut state = self.lock();
        state.end.get_or_insert(end);
        wake(state);
    }

    /// Takes the frames of all waiting messages; an error if none will follow.
    pub(crate) fn poll_take(&self, batch: &mut Vec<u8>, cx: &mut Context<'_>) -> Poll<Result<(), InboxEnd>> {
        let mut state = self.lock();
        if !state.frames.is_empty() && state.end != Some(InboxEnd::Cut) {
            batch.clear();
            mem::swap(&mut state.frames, batch);
            return Poll::Ready(Ok(()));
        }
        if let Some(end) = state.end {
            return Poll::Ready(Err(end));
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Records that the handler has taken messages of this cost.
    pub(crate) fn taken(&self, cost: usize) {
        if cost > 0 {
            self.reply_queue.note_taken(self.id, cost);
        }
    }

    /// Drops what waits and what follows.
    pub(crate) fn refuse_all(&self) {
        let mut state = self.lock();
        state.is_unwanted = true;
        let frames = mem::take(&mut state.frames);
        drop(state);
        self.taken(frames.len());
    }

    fn lock(&self) -> MutexGuard<'_, InboxState> {
        // Nothing that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes the handler, without the lock.
fn wake(mut state: MutexGuard<'_, InboxState>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}
