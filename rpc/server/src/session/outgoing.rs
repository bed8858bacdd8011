//! Messages for the client: what handlers have produced and the client has no credit for yet.

use std::collections::BTreeMap;
use std::mem;

use rpc_wire::{CallId, SendWindow};

use super::queue::Queue;

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
    ready: Queue<CallId>,
    /// Sum of the lengths of all waiting frames.
    queued: usize,
}

#[derive(Debug)]
struct OutgoingStream {
    window: SendWindow,
    /// Frames: messages, and the reply behind them if the stream is complete.
    frames: Vec<u8>,
    /// Length of those that have gone out.
    gone: usize,
    is_complete: bool,
    is_ready: bool,
}

/// Frames that a stream keeps.
#[derive(Debug)]
pub(super) enum Kept<'a> {
    /// All that a handler has produced at once.
    All(Vec<u8>),
    /// A part of it.
    Part(&'a [u8]),
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
            ready: Queue::new(),
            queued: 0,
        }
    }

    pub(super) fn open(&mut self, id: CallId) {
        let window = SendWindow::new(self.budget);
        let frames = Vec::new();
        let stream = OutgoingStream { window, frames, gone: 0, is_complete: false, is_ready: false };
        self.streams.insert(id, stream);
    }

    /// Returns true if the call has a stream of messages for the client.
    pub(super) fn has(&self, id: CallId) -> bool {
        self.streams.contains_key(&id)
    }

    /// Looks at frames that a handler has produced. Returns the length of those that go out now, which the owner appends to the
    /// batch; the others are for [`Outgoing::keep`].
    pub(super) fn pass(&mut self, id: CallId, frames: &[u8], is_complete: bool, has_room: bool) -> usize {
        let Some(stream) = self.streams.get_mut(&id) else { return 0 };
        stream.is_complete = is_complete;
        if !stream.waiting().is_empty() {
            return 0;
        }
        let most = if has_room && self.ready.is_empty() { usize::MAX } else { 0 };
        pass(&mut stream.window, &mut self.window, frames, is_complete, most)
    }

    /// Keeps frames until they may go out.
    pub(super) fn keep(&mut self, id: CallId, frames: Kept<'_>) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let before = stream.waiting().len();
        stream.keep(frames);
        self.queued += stream.waiting().len() - before;
        stream.make_ready(id, &mut self.ready);
    }

    /// Returns true if [`Outgoing::next`] has frames.
    pub(super) fn is_ready(&self) -> bool {
        self.window.is_open() && !self.ready.is_empty()
    }

    /// Appends the next frames that may go out; streams take turns.
    pub(super) fn next(&mut self, out: &mut Vec<u8>) -> Option<Sent> {
        while self.window.is_open() {
            let id = self.ready.pop()?;
            let Some(stream) = self.streams.get_mut(&id) else { continue };
            stream.is_ready = false;
            let most = if self.ready.is_empty() { usize::MAX } else { QUANTUM };
            let (waiting, is_complete) = (&stream.frames[stream.gone..], stream.is_complete);
            let bytes = pass(&mut stream.window, &mut self.window, waiting, is_complete, most);
            stream.go(bytes, out);
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
            self.queued -= stream.waiting().len();
            // Ended streams are removed from the turns now and then, because it takes a look at all of them.
            if self.ready.len() > 2 * self.streams.len() {
                self.ready.retain(|id| self.streams.contains_key(id));
            }
        }
    }

    /// Returns the memory of the queue of turns, in bytes.
    pub(super) fn held(&self) -> usize {
        self.ready.held()
    }

    /// Returns the bytes that wait for credit or for their turn.
    pub(super) fn queued(&self) -> usize {
        self.queued
    }
}

impl OutgoingStream {
    /// Returns the frames that have not gone out.
    fn waiting(&self) -> &[u8] {
        &self.frames[self.gone..]
    }

    fn keep(&mut self, frames: Kept<'_>) {
        match frames {
            // Few bytes are copied, so that they do not keep a large buffer.
            Kept::All(all) if self.frames.is_empty() && all.len() >= all.capacity() / 2 => self.frames = all,
            Kept::All(all) => self.keep(Kept::Part(&all)),
            Kept::Part(part) => {
                // Seldom, so that what waits is not moved for each message.
                if self.gone > self.frames.len() / 2 {
                    self.frames.drain(..mem::take(&mut self.gone));
                }
                self.frames.extend_from_slice(part);
            }
        }
    }

    /// Moves the first bytes of what waits to a batch.
    fn go(&mut self, bytes: usize, out: &mut Vec<u8>) {
        if out.is_empty() && self.gone == 0 && bytes == self.frames.len() {
            mem::swap(out, &mut self.frames);
        } else {
            out.extend_from_slice(&self.frames[self.gone..self.gone + bytes]);
            self.gone += bytes;
        }
        if self.gone == self.frames.len() {
            (self.frames, self.gone) = (Vec::new(), 0);
        }
    }

    /// Gives the stream a turn, if it has frames, credit and no turn yet.
    fn make_ready(&mut self, id: CallId, ready: &mut Queue<CallId>) {
        if !self.is_ready && !self.waiting().is_empty() && self.window.is_open() {
            self.is_ready = true;
            ready.push(id);
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
    let len = frames.len();
    if len <= most && !ends_with_reply && window.covers(len) && connection.covers(len) {
        // No need to look at each message.
        window.spend(len);
        connection.spend(len);
        return len;
    }
    let mut at = 0;
    while at < len {
        let first = first_len(&frames[at..]);
        let is_reply = ends_with_reply && at + first == len;
        if !is_reply {
            if at >= most || !window.is_open() || !connection.is_open() {
                break;
            }
            window.spend(first);
            connection.spend(first);
        }
        at += first;
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
            assert_eq!(outgoing.pass(id, &frames, false, true), 0, "the connection has no credit");
            outgoing.keep(id, Kept::Part(&frames));
            outgoing.close(id);
        }
        assert!(outgoing.ready.len() <= 2 && outgoing.queued() == 0);
        outgoing.close(lasting);
        assert!(outgoing.ready.is_empty());
    }
}
