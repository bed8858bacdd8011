//! Where calls that run on tasks of their own leave their replies for the connection.

use crate::peers::Seat;
use rpc_wire::CallId;
use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{self, Waker},
};

/// Replies on their way to the connection's task, which writes all that there are at once.
#[derive(Debug)]
pub(crate) struct Outbox {
    seat: Arc<Seat>,
    /// Bytes of replies, written or not, that may wait for the client to read them.
    limit: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    frames: Vec<u8>,
    done: Vec<CallId>,
    /// Bytes that have been taken, but not been written yet.
    unsent: usize,
    /// Bytes that have been written, ever.
    written: u64,
    /// Calls that go on when there is room.
    paused: HashMap<CallId, Waker>,
}

impl Outbox {
    pub(crate) fn new(seat: Arc<Seat>, limit: usize) -> Self {
        Self { seat, limit, state: Mutex::default() }
    }

    /// Adds the encoded reply of a call that has ended; the one in its place if there is no room for it.
    pub(crate) fn push(&self, id: CallId, frame: &[u8], instead: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.lock();
        if state.unsent + state.frames.len() + frame.len() > self.limit {
            instead(&mut state.frames);
        } else {
            state.frames.extend_from_slice(frame);
        }
        state.done.push(id);
        state.paused.remove(&id);
        drop(state);
        self.seat.wake();
    }

    /// Returns true if a call may go on, since there is room for its reply; if not, it is woken when there is.
    pub(crate) fn has_room(&self, id: CallId, cx: &task::Context<'_>) -> bool {
        let mut state = self.lock();
        let room = state.has_room(self.limit);
        if !room {
            state.paused.insert(id, cx.waker().clone());
        }
        room
    }

    /// Bytes that have been written to the client, ever.
    pub(crate) fn written(&self) -> u64 {
        self.lock().written
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

    /// Says how much of what was taken has not been written. Returns the bytes that wait here.
    pub(crate) fn unsent(&self, bytes: usize) -> usize {
        let mut state = self.lock();
        state.written += (state.unsent.saturating_sub(bytes)) as u64;
        state.unsent = bytes;
        if !state.paused.is_empty() && state.has_room(self.limit) {
            for (_, waker) in state.paused.drain() {
                waker.wake();
            }
        }
        state.frames.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Half of the limit is for calls that are not asked: those that are ready at once, or have paused for long.
    fn has_room(&self, limit: usize) -> bool {
        self.unsent + self.frames.len() <= limit / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, clock, peers::Peers};
    use std::{
        net::{IpAddr, Ipv4Addr},
        sync::atomic::{AtomicUsize, Ordering},
        task::{Context, Wake},
    };

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn outbox(limit: usize) -> Outbox {
        let now = clock::now();
        let peers = Arc::new(Peers::new(&Limits::default(), 1_024, now));
        Outbox::new(Arc::new(peers.seat(IpAddr::V4(Ipv4Addr::LOCALHOST), now).unwrap()), limit)
    }

    #[test]
    fn a_reply_for_which_there_is_no_room_is_replaced() {
        let outbox = outbox(100);
        outbox.unsent(50);
        outbox.push(CallId(1), &[1; 50], |_| panic!("there is room"));
        outbox.push(CallId(2), &[2; 50], |out| out.push(9));
        let mut out = Vec::new();
        assert_eq!(outbox.take(&mut out), [CallId(1), CallId(2)]);
        assert_eq!(out, [vec![1; 50], vec![9]].concat());
    }

    #[test]
    fn a_call_that_pauses_is_woken_when_half_of_the_limit_is_free() {
        let (outbox, woken) = (outbox(100), Arc::new(Woken::default()));
        let waker = Waker::from(woken.clone());
        let cx = Context::from_waker(&waker);
        outbox.unsent(51);
        assert!(!outbox.has_room(CallId(1), &cx) && !outbox.has_room(CallId(1), &cx));
        outbox.unsent(51);
        assert_eq!(woken.0.load(Ordering::Relaxed), 0);
        outbox.unsent(50);
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert!(outbox.has_room(CallId(1), &cx));
        assert_eq!(outbox.written(), 1);
    }
}
