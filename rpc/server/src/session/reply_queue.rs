//! The reply queue of a connection as data: replies on their way to the session, and the bound on the bytes that wait
//! for the client. `shared_reply_queue` puts it under a lock.

use std::mem;

use rpc_wire::CallId;

use super::message::{EndedCall, Replies};

/// Queue of replies on their way to the session, and the number of bytes ahead of them.
#[derive(Debug)]
pub(crate) struct ReplyQueue {
    /// Maximum number of bytes of replies that wait for the client.
    limit: usize,
    replies: Replies,
    /// Bytes that have been taken and not been written.
    unsent: usize,
    /// Total of the bytes that have been written.
    written: u64,
}

impl ReplyQueue {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, replies: Replies::default(), unsent: 0, written: 0 }
    }

    /// Adds the encoded reply of a call that has ended. If it finds no room, `instead` writes a shorter one.
    pub(crate) fn push(&mut self, id: CallId, frame: &[u8], instead: impl FnOnce(&mut Vec<u8>)) {
        let frames = &mut self.replies.frames;
        let before = frames.len();
        if self.unsent + before + frame.len() > self.limit {
            instead(frames);
        } else {
            frames.extend_from_slice(frame);
        }
        let len = frames.len() - before;
        self.replies.ended.push(EndedCall { id, len });
    }

    /// Returns true if calls may continue, because their replies find room. The other half of the limit is for calls
    /// that do not ask: those that end at their first poll or have paused for long.
    pub(crate) fn has_room(&self) -> bool {
        self.unsent + self.replies.frames.len() <= self.limit / 2
    }

    /// Takes the waiting replies. Their bytes count as unsent from here on.
    pub(crate) fn take(&mut self) -> Replies {
        self.unsent += self.replies.frames.len();
        mem::take(&mut self.replies)
    }

    /// Records the number of taken bytes that have not been written. Returns the number of bytes in the queue.
    pub(crate) fn note_unsent(&mut self, bytes: usize) -> usize {
        self.written += (self.unsent.saturating_sub(bytes)) as u64;
        self.unsent = bytes;
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

    #[test]
    fn a_reply_for_which_there_is_no_room_is_replaced() {
        let mut queue = ReplyQueue::new(100);
        queue.note_unsent(50);
        queue.push(CallId(1), &[1; 50], |_| panic!("there is room"));
        queue.push(CallId(2), &[2; 50], |out| out.push(9));
        let replies = queue.take();
        assert_eq!(queue.unsent, 101);
        let ended = [EndedCall { id: CallId(1), len: 50 }, EndedCall { id: CallId(2), len: 1 }];
        assert_eq!(replies.ended, ended);
        assert_eq!(replies.frames, [vec![1; 50], vec![9]].concat());
    }

    #[test]
    fn bytes_that_are_taken_while_others_are_written_hide_no_progress() {
        let mut queue = ReplyQueue::new(100);
        queue.note_unsent(40);
        queue.push(CallId(1), &[1; 30], |_| panic!("there is room"));
        let taken = queue.take().frames.len();
        queue.note_unsent(40 + taken - 25);
        assert_eq!(queue.written(), 25);
    }

    #[test]
    fn half_of_the_limit_is_room_for_calls_that_are_asked() {
        let mut queue = ReplyQueue::new(100);
        queue.note_unsent(51);
        assert!(!queue.has_room());
        queue.note_unsent(50);
        assert!(queue.has_room());
        assert_eq!(queue.written(), 1);
    }
}
