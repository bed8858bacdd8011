//! Messages for the client: what handlers have produced and the client has no credit for yet.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Buf, BytesMut};
use rpc_wire::{CallId, SendWindow};

/// Bytes of one stream that go out before the next one has its turn.
const QUANTUM: usize = 16 << 10;

/// Streams of messages for the client, their windows and what waits in them.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// First window of a stream.
    budget: u32,
    /// Window of the connection.
    window: SendWindow,
    streams: BTreeMap<CallId, OutgoingStream>,
    /// Streams that have messages and credit of their own, in the order of their turns. Ended ones may be among them.
    ready: VecDeque<CallId>,
    /// Sum of the lengths of all waiting frames.
    queued: usize,
}

#[derive(Debug)]
struct OutgoingStream {
    window: SendWindow,
    /// Frames: messages, and the reply behind them if the stream is complete.
    frames: BytesMut,
    is_complete: bool,
    is_ready: bool,
}

/// Frames of a stream that have just gone out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) id: CallId,
    pub(super) bytes: usize,
    /// The reply was among them.
    pub(super) is_end: bool,
}

impl Outgoing {
    /// Creates windows of so many bytes for each stream and for all of them.
    pub(super) fn new(stream: u32, connection: u32) -> Self {
        Self {
            budget: stream,
            window: SendWindow::new(connection),
            streams: BTreeMap::new(),
            ready: VecDeque::new(),
            queued: 0,
        }
    }

    pub(super) fn open(&mut self, id: CallId) {
        let window = SendWindow::new(self.budget);
        let stream = OutgoingStream { window, frames: BytesMut::new(), is_complete: false, is_ready: false };
        self.streams.insert(id, stream);
    }

    /// Returns true if the call has a stream of messages for the client.
    pub(super) fn has(&self, id: CallId) -> bool {
        self.streams.contains_key(&id)
    }

    /// Takes frames that a handler has produced. Returns the length of those that go out now, which the owner appends to the
    /// batch; the others wait.
    pub(super) fn push(&mut self, id: CallId, frames: &[u8], is_complete: bool, has_room: bool) -> usize {
        let Some(stream) = self.streams.get_mut(&id) else { return 0 };
        stream.is_complete = is_complete;
        let mut passed = 0;
        if stream.frames.is_empty() {
            let most = if has_room && self.ready.is_empty() { usize::MAX } else { 0 };
            passed = pass(&mut stream.window, &mut self.window, frames, is_complete, most);
        }
        stream.frames.extend_from_slice(&frames[passed..]);
        self.queued += frames.len() - passed;
        stream.make_ready(id, &mut self.ready);
        passed
    }

    /// Returns true if [`Outgoing::next`] has frames.
    pub(super) fn is_ready(&self) -> bool {
        self.window.is_open() && !self.ready.is_empty()
    }

    /// Appends the next frames that may go out; streams take turns.
    pub(super) fn next(&mut self, out: &mut Vec<u8>) -> Option<Sent> {
        while self.window.is_open() {
            let id = self.ready.pop_front()?;
            let Some(stream) = self.streams.get_mut(&id) else { continue };
            stream.is_ready = false;
            let bytes =
                pass(&mut stream.window, &mut self.window, &stream.frames, stream.is_complete, QUANTUM);
            out.extend_from_slice(&stream.frames[..bytes]);
            stream.frames.advance(bytes);
            if stream.frames.is_empty() {
                stream.frames = BytesMut::new();
            }
            self.queued -= bytes;
            let is_end = stream.is_complete && stream.frames.is_empty();
            stream.make_ready(id, &mut self.ready);
            return Some(Sent { id, bytes, is_end });
        }
        None
    }

    /// Takes credit; `CallId(0)` is the connection. Credit for streams that have ended is ignored. Returns false if a window
    /// would become too large.
    #[must_use]
    pub(super) fn grant(&mut self, id: CallId, bytes: u32) -> bool {
        if id == CallId(0) {
            return self.window.grant(bytes);
        }
        let Some(stream) = self.streams.get_mut(&id) else { return true };
        let is_allowed = stream.window.grant(bytes);
        stream.make_ready(id, &mut self.ready);
        is_allowed
    }

    /// Drops a stream and what waits in it.
    pub(super) fn close(&mut self, id: CallId) {
        if let Some(stream) = self.streams.remove(&id) {
            self.queued -= stream.frames.len();
            // Ended streams are removed from the turns now and then, because it takes a look at all of them.
            if self.ready.len() > 2 * self.streams.len() {
                self.ready.retain(|id| self.streams.contains_key(id));
            }
        }
    }

    /// Returns the bytes that wait for credit or for their turn.
    pub(super) fn queued(&self) -> usize {
        self.queued
    }
}

impl OutgoingStream {
    /// Gives the stream a turn, if it has frames, credit and no turn yet.
    fn make_ready(&mut self, id: CallId, ready: &mut VecDeque<CallId>) {
        if !self.is_ready && !self.frames.is_empty() && self.window.is_open() {
            self.is_ready = true;
            ready.push_back(id);
        }
    }
}

/// Spends the cost of the first messages, until they have `most` bytes or there is no credit. Returns the length of the
/// frames that may go out. A reply costs nothing and goes with the message in front of it.
fn pass(
    window: &mut SendWindow,
    connection: &mut SendWindow,
    frames: &[u8],
    ends_with_reply: bool,
    most: usize,
) -> usize {
    let mut at = 0;
    while at < frames.len() {
        let len = first_len(&frames[at..]);
        let is_reply = ends_with_reply && at + len == frames.len();
        if !is_reply {
            if at >= most || !window.is_open() || !connection.is_open() {
                break;
            }
            window.spend(len);
            connection.spend(len);
        }
        at += len;
    }
    at
}

/// Returns the length of the first frame, with its prefix.
fn first_len(frames: &[u8]) -> usize {
    let prefix = frames.first_chunk::<4>().map_or(0, |prefix| u32::from_be_bytes(*prefix));
    (4 + prefix as usize).min(frames.len())
}

#[cfg(test)]
mod tests {
    use rpc_wire::MessageWriter;

    use super::*;

    #[test]
    fn streams_that_are_cancelled_before_their_turn_leave_no_turn() {
        let mut outgoing = Outgoing::new(100, 0);
        let (lasting, mut frames) = (CallId(1), Vec::new());
        outgoing.open(lasting);
        for id in (2..1_000).map(CallId) {
            frames.clear();
            MessageWriter::new(&mut frames, id).finish(100).unwrap();
            outgoing.open(id);
            assert_eq!(outgoing.push(id, &frames, false, true), 0, "the connection has no credit");
            outgoing.close(id);
        }
        assert!(outgoing.ready.len() <= 2 && outgoing.queued() == 0);
        outgoing.close(lasting);
        assert!(outgoing.ready.is_empty());
    }
}
