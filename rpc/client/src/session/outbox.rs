//! Frames that wait for the transport: urgent ones first, then requests and messages in their order.

use std::collections::VecDeque;
use std::mem;

use rpc_wire::{Ahead, CallId, EncodeError, Frame, look_ahead, split_frame};

use super::transmission::Transmission;

/// Length of a chunk to which no more frames are added. What has become urgent waits for one chunk at most.
const CHUNK: usize = 64 << 10;

/// Length up to which a chunk is copied behind urgent frames, which costs less than a write of its own.
const SHORT: usize = 16 << 10;

/// The frames for the server.
#[derive(Debug)]
pub(super) struct Outbox {
    /// Frames that overtake all others.
    urgent: Vec<u8>,
    /// Full chunks, the oldest first.
    full: VecDeque<Chunk>,
    /// The chunk that takes frames.
    open: Chunk,
    /// Sum of the lengths of the full chunks.
    full_len: usize,
    /// Maximum length of a frame's body for the server.
    pub(super) server_max: usize,
}

/// Frames that are transmitted together.
#[derive(Debug, Default)]
struct Chunk {
    bytes: Vec<u8>,
    /// The last call whose request is in this chunk or in an earlier one.
    last: CallId,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            urgent: Vec::new(),
            full: VecDeque::new(),
            open: Chunk::default(),
            full_len: 0,
            server_max: usize::MAX,
        }
    }
}

impl Outbox {
    /// Returns the number of bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.urgent.len() + self.full_len + self.open.bytes.len()
    }

    pub(super) fn has_urgent(&self) -> bool {
        !self.urgent.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends a request.
    pub(super) fn request(&mut self, id: CallId, frame: &Frame<'_>) -> Result<(), EncodeError> {
        self.append(frame)?;
        self.open.last = id;
        Ok(())
    }

    /// Appends a frame behind all others.
    pub(super) fn append(&mut self, frame: &Frame<'_>) -> Result<(), EncodeError> {
        if self.open.bytes.len() >= CHUNK {
            let next = Chunk { bytes: Vec::new(), last: self.open.last };
            let full = mem::replace(&mut self.open, next);
            self.full_len += full.bytes.len();
            self.full.push_back(full);
        }
        frame.encode(&mut self.open.bytes, self.server_max)
    }

    /// Adds a frame that overtakes all others.
    pub(super) fn urgent(&mut self, frame: &Frame<'_>) {
        // Control frames are shorter than any limit that a server may name.
        let _: Result<(), EncodeError> = frame.encode(&mut self.urgent, self.server_max);
    }

    /// Takes a request back. Returns false if it does not wait here.
    pub(super) fn take_back(&mut self, id: CallId) -> bool {
        let at = self.full.partition_point(|chunk| chunk.last < id);
        let in_full = self.full.get_mut(at);
        let is_full = in_full.is_some();
        let removed = in_full.unwrap_or(&mut self.open).remove(id);
        if is_full {
            self.full_len -= removed;
        }
        removed > 0
    }

    /// Replaces a transmission that is done by the next one. Returns the last call whose request may have left then.
    pub(super) fn exchange(&mut self, transmission: &mut Transmission) -> Option<CallId> {
        if self.urgent.is_empty() {
            return Some(self.next_chunk(|chunk| transmission.exchange(chunk)));
        }
        transmission.exchange(&mut self.urgent);
        let next = self.full.front().unwrap_or(&self.open);
        (next.bytes.len() <= SHORT).then(|| self.next_chunk(|chunk| transmission.append(chunk)))
    }

    /// Passes the next chunk on; its memory is used again.
    fn next_chunk(&mut self, pass: impl FnOnce(&mut Vec<u8>)) -> CallId {
        let Some(mut chunk) = self.full.pop_front() else {
            pass(&mut self.open.bytes);
            return self.open.last;
        };
        self.full_len -= chunk.bytes.len();
        pass(&mut chunk.bytes);
        chunk.last
    }
}

impl Chunk {
    /// Removes the request of a call. Returns its length; 0 if it is not here.
    fn remove(&mut self, id: CallId) -> usize {
        let mut rest = &*self.bytes;
        while let Ok(Some((body, behind))) = split_frame(rest, usize::MAX) {
            let (start, end) = (self.bytes.len() - rest.len(), self.bytes.len() - behind.len());
            if look_ahead(body) == Ahead::Request(id) {
                self.bytes.drain(start..end);
                return end - start;
            }
            rest = behind;
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use rpc_wire::Request;

    use super::*;

    fn request(outbox: &mut Outbox, id: u64, payload: usize) {
        let payload = &vec![0; payload];
        let frame = Frame::Request(Request { method: "m", payload, ..Request::new(CallId(id)) });
        outbox.request(CallId(id), &frame).unwrap();
    }

    /// Takes one transmission; returns its frames.
    fn take(outbox: &mut Outbox) -> (Option<CallId>, Vec<Ahead>) {
        let mut transmission = Transmission::default();
        let last = outbox.exchange(&mut transmission);
        let (mut rest, mut frames) = (transmission.rest(), Vec::new());
        while let Some((body, behind)) = split_frame(rest, usize::MAX).unwrap() {
            frames.push(look_ahead(body));
            rest = behind;
        }
        (last, frames)
    }

    #[test]
    fn urgent_frames_wait_for_one_chunk_at_most() {
        let mut outbox = Outbox::default();
        (1..=4).for_each(|id| request(&mut outbox, id, CHUNK));
        assert_eq!(take(&mut outbox), (Some(CallId(1)), vec![Ahead::Request(CallId(1))]));
        outbox.urgent(&Frame::Cancel(CallId(1)));
        assert_eq!(take(&mut outbox), (None, vec![Ahead::Cancel(CallId(1))]));
        assert_eq!(take(&mut outbox).0, Some(CallId(2)));
    }

    #[test]
    fn urgent_frames_and_a_short_chunk_go_out_together() {
        let mut outbox = Outbox::default();
        request(&mut outbox, 1, 1);
        outbox.urgent(&Frame::Cancel(CallId(9)));
        let frames = vec![Ahead::Cancel(CallId(9)), Ahead::Request(CallId(1))];
        assert_eq!(take(&mut outbox), (Some(CallId(1)), frames));
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_request_that_waits_can_be_taken_back() {
        for payload in [1, CHUNK] {
            let mut outbox = Outbox::default();
            (1..=3).for_each(|id| request(&mut outbox, id, payload));
            let len = outbox.len();
            assert!(
                outbox.take_back(CallId(2)) && !outbox.take_back(CallId(2)) && !outbox.take_back(CallId(4))
            );
            assert!(outbox.len() < len - payload);
            let mut left = Vec::new();
            while !outbox.is_empty() {
                left.extend(take(&mut outbox).1);
            }
            assert_eq!(left, [Ahead::Request(CallId(1)), Ahead::Request(CallId(3))]);
        }
    }
}
