//! The bytes that have been read and not yet handled: when they came, and what they cancel.

use std::collections::{BTreeSet, VecDeque};
use std::mem;

use bytes::{Buf, BytesMut};
use common::Millis;
use rpc_wire::{Ahead, CallId, DecodeError, look_ahead, split_frame};

/// Bytes to read ahead of what is handled, to find what cancels it, and to know when it came.
const READ_AHEAD: usize = 256 << 10;

/// Room of handled bytes that may stay in front of what follows, where [`ReadBuffer::held`] does not see it.
const MOST_KEPT: usize = 64 << 10;

/// A frame whose turn it is.
#[derive(Debug)]
pub(super) struct Arrived<'a> {
    pub(super) body: &'a [u8],
    pub(super) arrival: Arrival,
}

/// Time at which the last byte of a frame was read, and whether a later frame cancels it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) at: Millis,
    pub(super) cancelled: bool,
}

/// Bytes that a connection has read.
#[derive(Debug)]
pub(super) struct ReadBuffer {
    max_frame: usize,
    bytes: BytesMut,
    /// Length of the part of `bytes` that has been handled.
    handled: usize,
    /// Length of the part that has been looked through: whole frames, unless the next one is broken.
    seen: usize,
    /// True if the frame at `seen` is over the limit.
    broken: bool,
    /// Ends of the last whole frame of each read, for what has not been handled; reads that complete none are not kept,
    /// since a frame may come byte by byte.
    reads: VecDeque<(usize, Millis)>,
    /// Since when the first bytes of a frame wait for the rest.
    begun: Option<Millis>,
    /// The last call that has been seen, and the last that has been handled.
    last: CallId,
    handled_last: CallId,
    /// Calls between these two that are cancelled by what came behind them.
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
            reads: VecDeque::new(),
            begun: None,
            last: CallId(0),
            handled_last: CallId(0),
            cancelled: BTreeSet::new(),
        }
    }

    /// Gives the buffer to append the next bytes to; call [`ReadBuffer::arrived`] then.
    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.bytes
    }

    /// Gives the bytes that have not been handled, for the hello, which has rules of its own.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes the hello off; what came behind it is looked through as if it came now.
    pub(super) fn skip(&mut self, len: usize, now: Millis) {
        let mut bytes = mem::take(&mut self.bytes);
        bytes.advance(len);
        *self = Self::new(self.max_frame);
        if !bytes.is_empty() {
            self.bytes = bytes;
            self.arrived(now, |_| ());
        }
    }

    /// Looks through bytes that have just been appended; `cancel` is called with what they cancel, whether it has
    /// been handled or not.
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
            self.reads.push_back((self.seen, now));
        }
        if self.seen == self.bytes.len() {
            self.begun = None;
        } else if self.seen > before || self.begun.is_none() {
            self.begun = Some(now);
        }
    }

    /// The next frame that is complete.
    ///
    /// # Errors
    /// Its length is over the limit.
    pub(super) fn next(&mut self) -> Result<Option<Arrived<'_>>, DecodeError> {
        let Some((body, rest)) = split_frame(&self.bytes[self.handled..], self.max_frame)? else {
            return Ok(None);
        };
        self.handled = self.bytes.len() - rest.len();
        while self.reads.front().is_some_and(|(end, _)| *end < self.handled) {
            self.reads.pop_front();
        }
        let cancelled = match look_ahead(body) {
            Ahead::Request(id) => {
                self.handled_last = self.handled_last.max(id);
                !self.cancelled.is_empty() && take(&mut self.cancelled, id)
            }
            Ahead::Cancel(_) | Ahead::Other => false,
        };
        // There is one, since every frame was completed by a read.
        Ok(self.reads.front().map(|&(_, at)| Arrived { body, arrival: Arrival { at, cancelled } }))
    }

    /// Gives back the room of what has been handled.
    pub(super) fn release(&mut self) {
        if self.handled == self.bytes.len() {
            // The buffer is there only while there is something in it: an idle connection has none.
            self.bytes = BytesMut::new();
            self.reads.clear();
        } else {
            if self.handled > MOST_KEPT {
                self.bytes = BytesMut::from(&self.bytes[self.handled..]);
            } else {
                self.bytes.advance(self.handled);
            }
            for (end, _) in &mut self.reads {
                *end -= self.handled;
            }
        }
        self.seen -= self.handled;
        self.handled = 0;
    }

    /// Returns true if [`ReadBuffer::next`] has something to give.
    pub(super) fn is_waiting(&self) -> bool {
        self.seen > self.handled || self.broken
    }

    /// Returns true if there is nothing at all.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Returns true if more is to be read: the rest of a frame, and a bounded look ahead.
    pub(super) fn wants_more(&self) -> bool {
        !self.broken && self.seen - self.handled < READ_AHEAD
    }

    /// Returns the last bytes of the frame that [`ReadBuffer::next`] gave last.
    pub(super) fn end_of_last(&self, len: usize) -> &[u8] {
        &self.bytes[self.handled - len..self.handled]
    }

    /// The memory that it takes.
    pub(super) fn held(&self) -> usize {
        self.bytes.capacity()
    }

    /// Since when a frame has been incomplete.
    pub(super) fn begun(&self) -> Option<Millis> {
        self.begun
    }

    /// Does not count this time for an incomplete frame: nobody read.
    pub(super) fn excuse(&mut self, time: Millis) {
        self.begun = self.begun.map(|begun| begun + time);
    }
}

/// Returns true if the call is among them. Ids increase: it and those before it are not asked for again.
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
        let request =
            Request { id: CallId(id), method: "m", time_left: None, more: false, payload: b"12345" };
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
    fn a_frame_came_when_the_last_of_it_was_read_however_late_it_is_handled() {
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
    fn cancels_of_calls_that_never_were_take_no_room() {
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
    fn a_long_frame_that_was_handled_holds_no_room_behind_the_first_byte_of_the_next() {
        let mut input = ReadBuffer::new(MAX);
        let long = Frame::Request(Request {
            id: CallId(1),
            method: "m",
            time_left: None,
            more: false,
            payload: &vec![0; MAX - 100],
        });
        read(&mut input, Millis(0), &encoded(&long));
        read(&mut input, Millis(0), &request(2)[..1]);
        next(&mut input);
        assert_eq!(input.bytes(), &request(2)[..1]);
        // The room that is left does not begin behind that of the frame.
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
