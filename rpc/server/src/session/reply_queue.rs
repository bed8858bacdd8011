//! The reply queue of a connection as data: what calls have produced and taken, on its way to the session, and the bounds on
//! the bytes that wait for the client. `shared_reply_queue` puts it under a lock.

use std::collections::BTreeMap;
use std::mem;

use rpc_wire::{Budget, CallId};

use super::message::{Replies, Segment, Taken};

/// Bytes that one stream may produce before the client has taken any.
const STREAM_ROOM: usize = 64 << 10;

/// Bytes of all streams of a connection above which each may produce one message ahead only.
const STREAMS_ROOM: usize = 1 << 20;

/// Maximum number of bytes of messages that handlers take before the session hears of it at once.
const MOST_UNTOLD: usize = 64 << 10;

/// Queue of frames on their way to the session, and the number of bytes ahead of them.
#[derive(Debug)]
pub(crate) struct ReplyQueue {
    /// Maximum number of bytes of replies that wait for the client.
    limit: usize,
    replies: Replies,
    /// Bytes of the replies in the queue that are not of streams.
    waiting: usize,
    /// Bytes of such replies that have been taken and not been written.
    unsent: usize,
    /// Total of the bytes that have been written.
    written: u64,
    /// Bytes that each stream has produced and that have not gone out, where there are any, and their sum.
    streams: BTreeMap<CallId, usize>,
    streams_sum: usize,
    /// Bytes of messages that handlers have taken since the session heard of it, and the number at which it hears.
    taken: usize,
    tell_at: usize,
}

/// Progress of a session that writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    /// Bytes of replies that have been taken and not been written, without those of streams, and the bound on them.
    pub(crate) unsent: usize,
    pub(crate) limit: usize,
    /// Total of the bytes that have been written.
    pub(crate) written: u64,
}

impl ReplyQueue {
    /// Creates a queue for the windows of a budget, and up to `limit` bytes of replies.
    pub(crate) fn new(limit: usize, budget: Budget) -> Self {
        // The session gives credit at half of a window, so none closes while handlers take all there is.
        let tell_at = MOST_UNTOLD.min(budget.stream.min(budget.connection) as usize / 2);
        Self {
            limit,
            replies: Replies::default(),
            waiting: 0,
            unsent: 0,
            written: 0,
            streams: BTreeMap::new(),
            streams_sum: 0,
            taken: 0,
            tell_at,
        }
    }

    /// Adds the encoded reply of a call that has ended. If it finds no room, `instead` writes a shorter one.
    pub(crate) fn push(&mut self, id: CallId, frame: &[u8], instead: impl FnOnce(&mut Vec<u8>)) {
        let frames = &mut self.replies.frames;
        let before = frames.len();
        if self.unsent + self.waiting + frame.len() > self.limit {
            instead(frames);
        } else {
            frames.extend_from_slice(frame);
        }
        let len = frames.len() - before;
        self.waiting += len;
        self.replies.segments.push(Segment { id, len, is_end: true });
    }

    /// Takes messages of a stream, and its reply if it ends. `frames` becomes empty.
    pub(crate) fn push_messages(&mut self, id: CallId, frames: &mut Vec<u8>, is_end: bool) {
        let len = frames.len();
        // Few bytes are copied, so that they do not keep a large buffer.
        if self.replies.frames.is_empty() && len >= frames.capacity() / 2 {
            mem::swap(&mut self.replies.frames, frames);
        } else {
            self.replies.frames.append(frames);
        }
        self.replies.segments.push(Segment { id, len, is_end });
        *self.streams.entry(id).or_default() += len;
        self.streams_sum += len;
    }

    /// Returns the number of bytes that a stream may produce now: at least one message for a stream of which nothing waits,
    /// so that streams whose client gives no credit do not hold up others.
    pub(crate) fn stream_room(&self, id: CallId) -> usize {
        match self.streams.get(&id) {
            None if self.streams_sum >= STREAMS_ROOM => 1,
            None => STREAM_ROOM,
            Some(_) if self.streams_sum >= STREAMS_ROOM => 0,
            Some(waiting) => STREAM_ROOM.saturating_sub(*waiting),
        }
    }

    /// Records frames of a stream that have gone out. Returns true if other streams may have room again.
    pub(crate) fn note_sent(&mut self, id: CallId, bytes: usize) -> bool {
        let Some(waiting) = self.streams.get_mut(&id) else { return false };
        let (was_full, bytes) = (self.streams_sum >= STREAMS_ROOM, bytes.min(*waiting));
        *waiting -= bytes;
        if *waiting == 0 {
            self.streams.remove(&id);
        }
        self.streams_sum -= bytes;
        was_full && self.streams_sum < STREAMS_ROOM
    }

    /// Forgets a stream that was aborted. Returns true if other streams may have room again.
    pub(crate) fn forget(&mut self, id: CallId) -> bool {
        self.note_sent(id, usize::MAX)
    }

    /// Records messages of the client that a handler has taken. Returns true if the session should hear of it now.
    pub(crate) fn note_taken(&mut self, id: CallId, bytes: usize) -> bool {
        match self.replies.taken.last_mut().filter(|last| last.id == id) {
            Some(last) => last.bytes += bytes,
            None => self.replies.taken.push(Taken { id, bytes }),
        }
        self.taken += bytes;
        self.taken >= self.tell_at
    }

    /// Returns true if calls may continue, because their replies find room. The other half of the limit is for calls
    /// that do not ask: those that end at their first poll or have paused for long.
    pub(crate) fn has_room(&self) -> bool {
        self.unsent + self.waiting <= self.limit / 2
    }

    /// Takes what waits. The bytes of replies count as unsent from here on.
    pub(crate) fn take(&mut self) -> Replies {
        self.unsent += mem::take(&mut self.waiting);
        self.taken = 0;
        mem::take(&mut self.replies)
    }

    /// Records how far the session is. Returns the number of bytes in the queue.
    pub(crate) fn note_progress(&mut self, progress: Progress) -> usize {
        (self.unsent, self.written, self.limit) = (progress.unsent, progress.written, progress.limit);
        self.replies.frames.len()
    }

    /// Returns the total of the bytes that have been written to the client.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unsent(bytes: usize) -> Progress {
        Progress { unsent: bytes, limit: 100, written: 0 }
    }

    #[test]
    fn a_reply_for_which_there_is_no_room_is_replaced() {
        let mut queue = ReplyQueue::new(100, Budget::default());
        queue.note_progress(unsent(50));
        queue.push(CallId(1), &[1; 50], |_| panic!("there is room"));
        queue.push(CallId(2), &[2; 50], |out| out.push(9));
        let replies = queue.take();
        assert_eq!(queue.unsent, 101);
        let segment = |id, len| Segment { id: CallId(id), len, is_end: true };
        assert_eq!(replies.segments, [segment(1, 50), segment(2, 1)]);
        assert_eq!(replies.frames, [vec![1; 50], vec![9]].concat());
    }

    #[test]
    fn half_of_the_limit_is_room_for_calls_that_are_asked() {
        let mut queue = ReplyQueue::new(100, Budget::default());
        queue.note_progress(unsent(51));
        assert!(!queue.has_room());
        queue.note_progress(unsent(50));
        assert!(queue.has_room());
    }
}
