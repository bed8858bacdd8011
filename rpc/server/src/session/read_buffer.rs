//! Bytes that have been read and not handled, with the times of their arrival and the calls that they cancel.

use std::collections::BTreeSet;
use std::mem;

use bytes::{Buf, BytesMut};
use common::Millis;
use rpc_wire::{Ahead, CallId, DecodeError, MessageRun, look_ahead, split_frame, split_messages};

use super::queue::Queue;

/// Bytes to read ahead of the frame that is handled next, to hear cancels early and to know times of arrival.
const READ_AHEAD: usize = 256 << 10;

/// Maximum number of handled bytes that stay allocated ahead of the rest, where [`ReadBuffer::held`] does not count them.
const MOST_KEPT: usize = 64 << 10;

/// Number of bytes from which on messages are handled in several steps.
const MESSAGES_AT_ONCE: usize = 64 << 10;

/// Frame to handle next.
#[derive(Debug)]
pub(super) struct ArrivedFrame<'a> {
    pub(super) body: &'a [u8],
    pub(super) arrival: Arrival,
}

/// Circumstances of a frame's arrival.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    /// Time at which its last byte was read.
    pub(super) at: Millis,
    /// A later frame cancels its call.
    pub(super) cancelled: bool,
}

/// Bytes that a session has received.
#[derive(Debug)]
pub(super) struct ReadBuffer {
    max_frame: usize,
    bytes: BytesMut,
    /// Length of the handled part of `bytes`.
    handled: usize,
    /// Length of the part that has been scanned: whole frames.
    seen: usize,
    /// True if the frame at `seen` is over the limit.
    broken: bool,
    /// End of the last whole frame of each read, and its time. Reads that complete no frame take no room, because a
    /// frame may arrive byte by byte.
    reads: Queue<(usize, Millis)>,
    /// Time since which a frame is incomplete.
    begun: Option<Millis>,
    /// Last request that has been scanned, and last that has been handled.
    last: CallId,
    handled_last: CallId,
    /// Cancelled calls between these two.
    cancelled: BTreeSet<CallId>,
}

impl ReadBuffer {
    pub(super) fn new(max_frame: usize) -> Self {
        Self {
            max_frame,
            bytes: BytesMut::new(),
            handled: 0,
            seen: 0,
            broken: false,
            reads: Queue::new(),
            begun: None,
            last: CallId(0),
            handled_last: CallId(0),
            cancelled: BTreeSet::new(),
        }
    }

    /// Returns the buffer for the next bytes; call [`ReadBuffer::arrived`] after appending.
    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.bytes
    }

    /// Returns the bytes, for the hello, which has rules of its own.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Forgets all bytes.
    pub(super) fn discard(&mut self) {
        self.bytes.clear();
        (self.handled, self.seen) = (0, 0);
    }

    /// Removes the hello. Bytes behind it count as arriving now.
    pub(super) fn skip(&mut self, len: usize, now: Millis) {
        let mut bytes = mem::take(&mut self.bytes);
        bytes.advance(len);
        *self = Self::new(self.max_frame);
        if !bytes.is_empty() {
            self.bytes = bytes;
            self.arrived(now, |_| ());
        }
    }

    /// Scans bytes that have just been appended. Calls `cancel` for each call that they cancel, handled or not.
    pub(super) fn arrived(&mut self, now: Millis, mut cancel: impl FnMut(CallId)) {
        let before = self.seen;
        while !self.broken {
            match split_frame(&self.bytes[self.seen..], self.max_frame) {
                Ok(Some((body, rest))) => {
                    self.seen = self.bytes.len() - rest.len();
                    match look_ahead(body) {
                        Ahead::Request(id) => self.last = self.last.max(id),
                        Ahead::Cancel(id) if id <= self.last => {
                            if id > self.handled_last {
                                self.cancelled.insert(id);
                            }
                            cancel(id);
                        }
                        Ahead::Cancel(_) | Ahead::Other => {}
                    }
                }
                Ok(None) => break,
                Err(_) => self.broken = true,
            }
        }
        if self.seen > before {
            self.reads.push((self.seen, now));
        }
        if self.seen == self.bytes.len() {
            self.begun = None;
        } else if self.seen > before || self.begun.is_none() {
            self.begun = Some(now);
        }
    }

    /// Returns the messages of one call that come next, if any do.
    pub(super) fn next_messages(&mut self) -> Option<MessageRun<'_>> {
        let waiting = &self.bytes[self.handled..];
        let (run, _) = split_messages(waiting, self.max_frame, MESSAGES_AT_ONCE)?;
        self.handled += run.frames.len();
        self.reads.drop_while(|(end, _)| *end < self.handled);
        Some(run)
    }

    /// Returns the next complete frame.
    ///
    /// # Errors
    /// The frame's length is over the limit.
    pub(super) fn next(&mut self) -> Result<Option<ArrivedFrame<'_>>, DecodeError> {
        let Some((body, rest)) = split_frame(&self.bytes[self.handled..], self.max_frame)? else {
            return Ok(None);
        };
        self.handled = self.bytes.len() - rest.len();
        self.reads.drop_while(|(end, _)| *end < self.handled);
        let cancelled = match look_ahead(body) {
            Ahead::Request(id) => {
                self.handled_last = self.handled_last.max(id);
                !self.cancelled.is_empty() && take(&mut self.cancelled, id)
            }
            Ahead::Cancel(_) | Ahead::Other => false,
        };
        // Some read completed the frame, so there is an entry.
        Ok(self.reads.front().map(|&(_, at)| ArrivedFrame { body, arrival: Arrival { at, cancelled } }))
    }

    /// Frees the memory of handled frames.
    pub(super) fn release(&mut self) {
        if self.handled == self.bytes.len() {
            // An idle connection has no buffer.
            self.bytes = BytesMut::new();
            self.reads.clear();
        } else {
            if self.handled > MOST_KEPT {
                self.bytes = BytesMut::from(&self.bytes[self.handled..]);
            } else {
                self.bytes.advance(self.handled);
            }
            for (end, _) in self.reads.iter_mut() {
                *end -= self.handled;
            }
        }
        self.seen -= self.handled;
        self.handled = 0;
    }

    /// Returns true if [`ReadBuffer::next`] returns a frame or an error.
    pub(super) fn is_waiting(&self) -> bool {
        self.seen > self.handled || self.broken
    }

    /// Returns true if there are no bytes.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Returns true if more should be read: the rest of a frame, and a bounded look-ahead.
    pub(super) fn wants_more(&self) -> bool {
        !self.broken && self.seen - self.handled < READ_AHEAD
    }

    /// Returns the last `len` bytes of the frame that [`ReadBuffer::next`] returned last.
    pub(super) fn end_of_last(&self, len: usize) -> &[u8] {
        &self.bytes[self.handled - len..self.handled]
    }

    /// Returns the allocated memory in bytes.
    pub(super) fn held(&self) -> usize {
        self.bytes.capacity() + self.reads.held()
    }

    /// Returns the time since which a frame is incomplete.
    pub(super) fn begun(&self) -> Option<Millis> {
        self.begun
    }

    /// Excludes a time without reading from the age of an incomplete frame.
    pub(super) fn excuse(&mut self, time: Millis) {
        self.begun = self.begun.map(|begun| begun + time);
    }
}

/// Removes a call and returns true if it was there. Call ids increase, so smaller ones are removed, too.
fn take(cancelled: &mut BTreeSet<CallId>, id: CallId) -> bool {
    while cancelled.first().is_some_and(|first| *first < id) {
        cancelled.pop_first();
    }
    cancelled.remove(&id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rpc_wire::{Frame, Request};

    const MAX: usize = 1 << 20;

    fn request(id: u64) -> Vec<u8> {
        let request = Request { method: "m", payload: b"12345", ..Request::new(CallId(id)) };
        encoded(&Frame::Request(request))
    }

    fn encoded(frame: &Frame<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        frame.encode(&mut out, MAX).unwrap();
        out
    }

    fn read(input: &mut ReadBuffer, at: Millis, bytes: &[u8]) -> Vec<u64> {
        let mut cancelled = Vec::new();
        input.buffer().extend_from_slice(bytes);
        input.arrived(at, |id| cancelled.push(id.0));
        cancelled
    }

    fn next(input: &mut ReadBuffer) -> Option<(Millis, bool)> {
        let next = input.next().unwrap().map(|frame| (frame.arrival.at, frame.arrival.cancelled));
        input.release();
        next
    }

    #[test]
    fn a_frame_arrives_when_its_last_byte_is_read_however_late_it_is_handled() {
        let at = |seconds: u64| Millis(1_000 * seconds);
        let mut input = ReadBuffer::new(MAX);
        let frame = request(2);
        read(&mut input, at(0), &[&request(1)[..], &frame[..10]].concat());
        read(&mut input, at(1), &frame[10..20]);
        read(&mut input, at(2), &[&frame[20..], &request(3), &request(4)].concat());
        read(&mut input, at(3), &request(5));
        let came: Vec<_> = std::iter::from_fn(|| next(&mut input).map(|(at, _)| at)).collect();
        assert_eq!(came, [at(0), at(2), at(2), at(2), at(3)]);
        assert!(input.is_empty() && input.held() == 0 && input.reads.is_empty());
    }

    #[test]
    fn a_cancel_counts_before_its_turn_but_not_before_its_request() {
        let now = Millis(0);
        let mut input = ReadBuffer::new(MAX);
        let cancel = |id| encoded(&Frame::Cancel(CallId(id)));
        let bytes = [cancel(2), request(1), request(2), cancel(1), request(3), cancel(3)].concat();
        assert_eq!(read(&mut input, now, &bytes), [1, 3]);
        let cancelled: Vec<_> = std::iter::from_fn(|| next(&mut input).map(|(_, yes)| yes)).collect();
        assert_eq!(cancelled, [false, true, false, false, true, false]);
        assert_eq!(read(&mut input, now, &cancel(2)), [2], "one that has been handled may be running");
        assert!(input.cancelled.is_empty());
    }

    #[test]
    fn cancels_of_unknown_calls_take_no_room() {
        let now = Millis(0);
        let mut input = ReadBuffer::new(MAX);
        read(&mut input, now, &request(1_000_000));
        next(&mut input);
        for id in 1..1_000 {
            read(&mut input, now, &encoded(&Frame::Cancel(CallId(id))));
            next(&mut input);
        }
        read(&mut input, now, &request(2_000_000));
        for id in 1_000_001..1_001_000 {
            read(&mut input, now, &encoded(&Frame::Cancel(CallId(id))));
        }
        while next(&mut input).is_some() {}
        assert!(input.cancelled.is_empty());
    }

    #[test]
    fn a_frame_is_begun_from_its_first_byte_until_it_is_complete() {
        let start = Millis(0);
        let mut input = ReadBuffer::new(MAX);
        let frame = request(1);
        read(&mut input, start, &frame[..1]);
        read(&mut input, Millis(1_000), &frame[1..20]);
        assert_eq!(input.begun(), Some(start));
        read(&mut input, Millis(2_000), &frame[20..]);
        assert_eq!(input.begun(), None);
    }

    #[test]
    fn a_frame_that_comes_byte_by_byte_takes_no_more_room_than_at_once() {
        let start = Millis(0);
        let mut input = ReadBuffer::new(MAX);
        let frame = request(1);
        read(&mut input, start, &request(1));
        for byte in &frame[..frame.len() - 1] {
            read(&mut input, Millis(1_000), &[*byte]);
        }
        assert_eq!(input.reads.len(), 1);
        read(&mut input, Millis(2_000), &frame[frame.len() - 1..]);
        let came: Vec<_> = std::iter::from_fn(|| next(&mut input).map(|(at, _)| at)).collect();
        assert_eq!(came, [start, Millis(2_000)]);
    }

    #[test]
    fn a_long_handled_frame_is_freed_although_the_next_one_has_begun() {
        let mut input = ReadBuffer::new(MAX);
        let long =
            Frame::Request(Request { method: "m", payload: &vec![0; MAX - 100], ..Request::new(CallId(1)) });
        read(&mut input, Millis(0), &encoded(&long));
        read(&mut input, Millis(0), &request(2)[..1]);
        next(&mut input);
        assert_eq!(input.bytes(), &request(2)[..1]);
        // No room of the long frame is left in front.
        assert!(!input.bytes.try_reclaim(MAX / 2), "{}", input.held());
    }

    #[test]
    fn nothing_is_read_behind_a_frame_that_is_too_long_nor_far_ahead_of_what_is_handled() {
        let now = Millis(0);
        let mut input = ReadBuffer::new(MAX);
        read(&mut input, now, &[0xff; 40]);
        assert!(input.is_waiting() && !input.wants_more() && input.next().is_err());

        let mut input = ReadBuffer::new(MAX);
        read(&mut input, now, &vec![0; READ_AHEAD]);
        assert!(!input.wants_more());
    }
}
