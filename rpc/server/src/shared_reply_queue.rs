//! The reply queue of a connection, shared by its call tasks and its own task: the lock, and the wakers of calls that wait
//! for room.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use rpc_wire::CallId;

use crate::limits::Limits;
use crate::peers::Seat;
use crate::session::{CallHead, Progress, Replies, ReplyQueue};

/// Reply queue of a connection: call tasks add replies and messages, the connection's task takes all of them at once.
#[derive(Debug)]
pub(crate) struct SharedReplyQueue {
    seat: Arc<Seat>,
    state: Mutex<WaitingReplies>,
}

#[derive(Debug)]
struct WaitingReplies {
    queue: ReplyQueue,
    /// Wakers of calls that wait for room. Maps that free what is removed, because many calls may wait once.
    paused: BTreeMap<CallId, Waker>,
    /// Wakers of streams that wait for room.
    held_back: BTreeMap<CallId, Waker>,
}

impl SharedReplyQueue {
    /// Creates the queue of a connection.
    pub(crate) fn new(seat: Arc<Seat>, limits: &Limits) -> Self {
        let (paused, held_back) = (BTreeMap::new(), BTreeMap::new());
        let state =
            WaitingReplies { queue: ReplyQueue::new(limits.reply_bytes, limits.budget()), paused, held_back };
        Self { seat, state: Mutex::new(state) }
    }

    /// Adds the encoded reply of a call that has ended.
    pub(crate) fn push(&self, call: &CallHead, frame: &[u8]) {
        let mut state = self.lock();
        state.queue.push(call.id, frame, |out| call.fail_unread(out));
        state.paused.remove(&call.id);
        drop(state);
        self.seat.wake();
    }

    /// Returns true if a call may continue, because its reply finds room. Otherwise the call is woken when there is room.
    pub(crate) fn has_room(&self, id: CallId, cx: &Context<'_>) -> bool {
        let mut state = self.lock();
        let room = state.queue.has_room();
        if !room {
            state.paused.insert(id, cx.waker().clone());
        }
        room
    }

    /// Takes messages of a stream, and its reply if it ends. `frames` becomes empty.
    pub(crate) fn push_messages(&self, id: CallId, frames: &mut Vec<u8>, is_end: bool) {
        self.lock().queue.push_messages(id, frames, is_end);
        self.seat.wake();
    }

    /// Returns the number of bytes that a stream may produce. If there are none, it is woken when there is room.
    pub(crate) fn stream_room(&self, id: CallId, cx: &Context<'_>) -> usize {
        let mut state = self.lock();
        let room = state.queue.stream_room(id);
        if room == 0 {
            state.held_back.insert(id, cx.waker().clone());
        }
        room
    }

    /// Records frames of a stream that have gone out.
    pub(crate) fn note_sent(&self, id: CallId, bytes: usize) {
        let mut state = self.lock();
        let is_room_for_all = state.queue.note_sent(id, bytes);
        wake_held_back(state, id, is_room_for_all);
    }

    /// Records messages of the client that a handler has taken.
    pub(crate) fn note_taken(&self, id: CallId, bytes: usize) {
        if self.lock().queue.note_taken(id, bytes) {
            self.seat.wake();
        }
    }

    /// Forgets a call that was aborted. Its waker would keep the memory of its task until there is room.
    pub(crate) fn forget(&self, id: CallId) {
        let mut state = self.lock();
        let waker = state.paused.remove(&id);
        let is_room_for_all = state.queue.forget(id);
        wake_held_back(state, id, is_room_for_all);
        // Without the lock, because the last waker may free the task.
        drop(waker);
    }

    /// Returns the total of the bytes that have been written to the client.
    pub(crate) fn written(&self) -> u64 {
        self.lock().queue.written()
    }

    /// Takes the waiting replies.
    pub(crate) fn take(&self) -> Replies {
        self.lock().queue.take()
    }

    /// Records how far the session is. Returns the number of bytes in the queue.
    pub(crate) fn note_progress(&self, progress: Progress) -> usize {
        let mut state = self.lock();
        let waiting = state.queue.note_progress(progress);
        if !state.paused.is_empty() && state.queue.has_room() {
            let paused = std::mem::take(&mut state.paused);
            drop(state);
            paused.into_values().for_each(Waker::wake);
        }
        waiting
    }

    fn lock(&self) -> MutexGuard<'_, WaitingReplies> {
        // Nothing that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes a stream that waits for room, or all of them, without the lock.
fn wake_held_back(mut state: MutexGuard<'_, WaitingReplies>, id: CallId, all: bool) {
    if state.held_back.is_empty() {
        return;
    }
    if all {
        let held_back = std::mem::take(&mut state.held_back);
        drop(state);
        held_back.into_values().for_each(Waker::wake);
    } else {
        let waker = state.held_back.remove(&id);
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::Relaxed;
    use std::task::Wake;

    use common::Millis;

    use super::*;
    use crate::peers::Peers;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    fn unsent(bytes: usize) -> Progress {
        Progress { unsent: bytes, limit: 100, written: 0 }
    }

    fn reply_queue(limit: usize) -> SharedReplyQueue {
        let peers = Arc::new(Peers::new(&Limits::default(), 1_024));
        let seat = peers.seat(IpAddr::V4(Ipv4Addr::LOCALHOST), Millis(0)).unwrap();
        SharedReplyQueue::new(Arc::new(seat), &Limits { reply_bytes: limit, ..Limits::default() })
    }

    #[test]
    fn a_paused_call_that_is_aborted_leaves_no_waker() {
        let (reply_queue, woken) = (reply_queue(100), Arc::new(Woken::default()));
        let waker = Waker::from(Arc::clone(&woken));
        reply_queue.note_progress(unsent(51));
        assert!(!reply_queue.has_room(CallId(1), &Context::from_waker(&waker)));
        assert_eq!(Arc::strong_count(&woken), 3);
        reply_queue.forget(CallId(1));
        assert_eq!(Arc::strong_count(&woken), 2);
    }

    #[test]
    fn a_paused_call_is_woken_when_half_of_the_limit_is_free() {
        let (reply_queue, woken) = (reply_queue(100), Arc::new(Woken::default()));
        let waker = Waker::from(Arc::clone(&woken));
        let cx = Context::from_waker(&waker);
        reply_queue.note_progress(unsent(51));
        assert!(!reply_queue.has_room(CallId(1), &cx) && !reply_queue.has_room(CallId(1), &cx));
        reply_queue.note_progress(unsent(51));
        assert_eq!(woken.0.load(Relaxed), 0);
        reply_queue.note_progress(unsent(50));
        assert_eq!(woken.0.load(Relaxed), 1);
        assert!(reply_queue.has_room(CallId(1), &cx));
    }
}
