//! Outputs of the core: their queue, and the buffer that frames are written into.

use std::collections::VecDeque;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use zk_wire::{
    Encode, ErrorCode, EventType, KeeperState, ReplyHeader, SessionId, WatchedEventView, Xid, Zxid, length,
    put_len,
};

use crate::core::faults::EventFate;
use crate::core::gates::Gates;
use crate::core::message::{ConnId, Frame, Note, Output};
use crate::core::txn::Txn;

/// Bytes of a frame's length field.
const LENGTH: usize = 4;

/// Room for the length and the header at the front of a frame.
const HEAD: usize = LENGTH + ReplyHeader::LEN;

/// Size of memory that is requested when the buffer is full.
const CHUNK: usize = 16 * 1024;

/// Minimum length of a frame that leaves the buffer with its memory, not to be copied.
const LONG: usize = 8 * 1024;

/// Maximum capacity of the buffer that is kept, so that one burst does not hold memory for good.
const KEPT: usize = 1 << 20;

/// Maximum capacity of the queue that is kept while it is empty.
const KEPT_PLACES: usize = 4_096;

/// Outputs in order. All frames are written into one buffer, where short ones stay until they are taken.
#[derive(Debug)]
pub(crate) struct Outputs {
    queue: VecDeque<Queued>,
    /// Outputs without a frame, in order.
    others: VecDeque<Output>,
    /// Frames that have been taken, those in the queue, and the body of the next one.
    buffer: BytesMut,
    /// End of the frames that have been taken.
    taken: usize,
    /// End of the frames in the queue.
    queued: usize,
    max_reply: usize,
    /// Gates that hold outputs back.
    pub(crate) gates: Gates,
    /// Frames and closes that do not go to their connections now.
    diverted: Option<Vec<Output>>,
}

/// Output in the queue. Most are frames, and far shorter than others: to move those would cost each request as much as its look
/// at the session.
#[derive(Debug)]
enum Queued {
    /// The next frame in the buffer.
    Written {
        conn: ConnId,
        len: usize,
    },
    /// A frame outside of the buffer: a long one, or one for several connections.
    Shared {
        conn: ConnId,
        frame: Bytes,
    },
    Other,
}

/// Body of a frame at the end of the buffer, with room in front for the length and the header. It is to be sent before another
/// one is written; otherwise it is lost.
#[derive(Debug)]
pub(crate) struct Body {
    /// Its end in the buffer.
    end: usize,
}

impl Outputs {
    pub(crate) fn new(max_reply: usize, gates: Gates) -> Self {
        Self {
            queue: VecDeque::new(),
            others: VecDeque::new(),
            buffer: BytesMut::new(),
            taken: 0,
            queued: 0,
            max_reply,
            gates,
            diverted: None,
        }
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Output> {
        match self.queue.pop_front() {
            Some(Queued::Written { conn, len }) => {
                self.buffer.advance(self.taken);
                let frame = self.buffer.split_to(len).freeze();
                (self.queued, self.taken) = (self.queued - self.taken - len, 0);
                Some(Output::Send { conn, frame })
            }
            Some(Queued::Shared { conn, frame }) => Some(Output::Send { conn, frame }),
            Some(Queued::Other) => self.others.pop_front(),
            None => {
                if self.queue.capacity().max(self.others.capacity()) > KEPT_PLACES {
                    (self.queue, self.others) = (VecDeque::new(), VecDeque::new());
                }
                if self.buffer.capacity() > KEPT {
                    self.buffer = BytesMut::new();
                }
                self.buffer.clear();
                (self.taken, self.queued) = (0, 0);
                None
            }
        }
    }

    /// Takes the next output, if it is a frame.
    #[inline]
    pub(crate) fn pop_frame(&mut self) -> Option<(ConnId, Frame<'_>)> {
        if let Queued::Other = self.queue.front()? {
            return None;
        }
        match self.queue.pop_front()? {
            Queued::Written { conn, len } => {
                let start = self.taken;
                self.taken += len;
                Some((conn, Frame::Short(&self.buffer[start..self.taken])))
            }
            Queued::Shared { conn, frame } => Some((conn, Frame::Shared(frame))),
            Queued::Other => None,
        }
    }

    pub(crate) fn persist(&mut self, txn: Txn) {
        self.emit(Output::Persist(txn));
    }

    pub(crate) fn expired(&mut self, session: SessionId) {
        self.emit(Output::Expired { session });
    }

    pub(crate) fn note(&mut self, note: Note) {
        self.emit(Output::Note(note));
    }

    pub(crate) fn close(&mut self, conn: ConnId) {
        if self.is_direct() {
            self.emit(Output::Close { conn });
        } else {
            self.through_gate(conn, Output::Close { conn });
        }
    }

    /// Keeps frames and closes back from now on, for [`diverted`](Self::diverted).
    pub(crate) fn divert(&mut self) {
        self.diverted = Some(Vec::new());
    }

    /// Returns what was kept back, and ends that.
    pub(crate) fn diverted(&mut self) -> Vec<Output> {
        self.diverted.take().unwrap_or_default()
    }

    /// Returns `true` if frames and closes are kept back.
    pub(crate) fn is_diverted(&self) -> bool {
        self.diverted.is_some()
    }

    /// Emits an output that has passed its gate, or has none.
    pub(crate) fn emit(&mut self, output: Output) {
        if let Output::Send { conn, frame } = output {
            self.queue.push_back(Queued::Shared { conn, frame });
        } else {
            self.queue.push_back(Queued::Other);
            self.others.push_back(output);
        }
    }

    /// Writes the body of a frame. Send it by one of the methods below.
    pub(crate) fn body(&mut self, write: impl FnOnce(&mut BytesMut)) -> Body {
        // One that was not sent is lost.
        self.buffer.truncate(self.queued);
        if self.buffer.capacity() - self.buffer.len() < 256 {
            self.buffer.reserve(CHUNK);
        }
        // The length and the header are filled in when the frame is sent.
        self.buffer.put_slice(&[0; HEAD]);
        write(&mut self.buffer);
        Body { end: self.buffer.len() }
    }

    /// Writes a body of one record.
    pub(crate) fn record(&mut self, record: &impl Encode) -> Body {
        self.body(|out| record.encode(out))
    }

    /// Sends a reply. If it is longer than a frame or the configured maximum, an error is sent instead.
    #[inline(always)]
    pub(crate) fn reply(&mut self, conn: ConnId, header: ReplyHeader, body: Option<Body>) {
        let body = body.unwrap_or_else(|| self.body(|_| {}));
        debug_assert_eq!(body.end, self.buffer.len(), "nothing is written between a body and its frame");
        if self.buffer.len() - self.queued > self.max_reply || !self.put_head(header) {
            let header = ReplyHeader { err: ErrorCode::MARSHALLING_ERROR, ..header };
            self.body(|_| {});
            self.put_head(header);
        }
        self.send_written(conn);
    }

    /// Sends the answer to a handshake, which has no header.
    pub(crate) fn greet(&mut self, conn: ConnId, Body { end }: Body) {
        let body = &self.buffer[self.queued + HEAD..end];
        let mut frame = BytesMut::with_capacity(LENGTH + body.len());
        put_len(body.len(), &mut frame);
        frame.put_slice(body);
        self.send(conn, frame.freeze());
    }

    /// Sends a watch event to all of `conns`; it is written once. It always fits a frame, because the request or
    /// transaction with its path did.
    pub(crate) fn event(
        &mut self,
        conns: impl IntoIterator<Item = ConnId>,
        zxid: Zxid,
        kind: EventType,
        path: &str,
    ) {
        let mut written = None;
        for conn in conns {
            let frame = written.get_or_insert_with(|| {
                let header = ReplyHeader { xid: Xid::NOTIFICATION, zxid, err: ErrorCode::OK };
                let event = WatchedEventView { event: kind, state: KeeperState::SYNC_CONNECTED, path };
                self.record(&event);
                self.put_head(header);
                self.take_written()
            });
            self.send(conn, frame.clone());
        }
    }

    /// Sends a watch event to one connection as a fault rule has decided. Returns `false` if it is dropped.
    pub(crate) fn event_with_fate(
        &mut self,
        fate: EventFate,
        conn: ConnId,
        zxid: Zxid,
        kind: EventType,
        path: &str,
    ) -> bool {
        match fate {
            EventFate::Dropped => return false,
            EventFate::Delayed(until) => self.gates.delay_output(conn, until),
            EventFate::Sent => {}
        }
        self.event([conn], zxid, kind, path);
        true
    }

    /// Fills in the length and the header of the frame at the end of the buffer. Returns `false` if it is too long for a frame.
    #[inline]
    fn put_head(&mut self, header: ReplyHeader) -> bool {
        let frame = &mut self.buffer[self.queued..];
        let Ok(len) = length(frame.len() - LENGTH) else { return false };
        let Some((front, rest)) = frame.split_first_chunk_mut() else { return false };
        let Some(room) = rest.first_chunk_mut() else { return false };
        (*front, *room) = (len.to_be_bytes(), header.to_bytes());
        true
    }

    /// Takes the frame at the end of the buffer out of it. A long one takes the memory along, and is not copied.
    fn take_written(&mut self) -> Bytes {
        let frame = &self.buffer[self.queued..];
        if frame.len() >= LONG {
            return self.buffer.split_off(self.queued).freeze();
        }
        let frame = Bytes::copy_from_slice(frame);
        self.buffer.truncate(self.queued);
        frame
    }

    /// Sends the frame at the end of the buffer.
    #[inline(always)]
    fn send_written(&mut self, conn: ConnId) {
        let len = self.buffer.len() - self.queued;
        if len < LONG && self.is_direct() {
            self.queued += len;
            self.queue.push_back(Queued::Written { conn, len });
        } else {
            let frame = self.take_written();
            self.send(conn, frame);
        }
    }

    fn send(&mut self, conn: ConnId, frame: Bytes) {
        if self.is_direct() {
            self.queue.push_back(Queued::Shared { conn, frame });
        } else {
            self.through_gate(conn, Output::Send { conn, frame });
        }
    }

    /// Returns `true` if nothing stands between the core and its connections.
    #[inline(always)]
    fn is_direct(&self) -> bool {
        self.gates.is_empty() && self.diverted.is_none()
    }

    #[cold]
    fn through_gate(&mut self, conn: ConnId, output: Output) {
        match &mut self.diverted {
            Some(diverted) => diverted.push(output),
            None => self.pass(conn, output),
        }
    }

    /// Emits an output, through the gate of its connection.
    pub(crate) fn pass(&mut self, conn: ConnId, output: Output) {
        if let Some(passed) = self.gates.hold_output(conn, output) {
            self.emit(passed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_REPLY: usize = 3 * LONG;

    fn outputs() -> Outputs {
        Outputs::new(MAX_REPLY, Gates::new(usize::MAX))
    }

    fn header(xid: usize) -> ReplyHeader {
        ReplyHeader { xid: Xid(i32::try_from(xid).unwrap()), zxid: Zxid(7), err: ErrorCode::OK }
    }

    /// Sends a reply whose body has `len` bytes, and returns its frame.
    fn reply(outputs: &mut Outputs, xid: usize, len: usize) -> Vec<u8> {
        let body = outputs.body(|out| out.put_bytes(1, len));
        outputs.reply(ConnId(1), header(xid), Some(body));
        let size = i32::try_from(ReplyHeader::LEN + len).unwrap();
        [&size.to_be_bytes()[..], &header(xid).to_bytes(), &vec![1; len]].concat()
    }

    /// Takes all outputs and returns the frames, and nothing for another output.
    fn drain(outputs: &mut Outputs, borrows: bool) -> Vec<Vec<u8>> {
        let mut drained = Vec::new();
        loop {
            if borrows && let Some((_, frame)) = outputs.pop_frame() {
                drained.push(frame.to_vec());
                continue;
            }
            match outputs.pop() {
                Some(Output::Send { frame, .. }) => drained.push(frame.to_vec()),
                Some(_) => drained.push(Vec::new()),
                None => return drained,
            }
        }
    }

    #[test]
    fn frames_come_out_in_order_borrowed_or_not() {
        for borrows in [false, true] {
            let mut outputs = outputs();
            for _ in 0..3 {
                let mut sent = Vec::new();
                for (xid, len) in [0, 5, LONG, 80, 81, 2 * LONG, 0, 3].into_iter().enumerate() {
                    sent.push(reply(&mut outputs, xid, len));
                    outputs.expired(SessionId(1));
                    sent.push(Vec::new());
                    outputs.event([ConnId(1), ConnId(2)], Zxid(9), EventType::NODE_CREATED, "/a");
                    let event = sent.len();
                    sent.extend([Vec::new(), Vec::new()]);
                    // Its content is that of `zk-wire`.
                    assert_eq!(event, 4 * xid + 2);
                }
                let mut drained = drain(&mut outputs, borrows);
                assert_eq!(drained.len(), sent.len());
                for pair in drained.chunks_exact_mut(2).skip(1).step_by(2) {
                    assert!(pair[0] == pair[1] && pair[0].ends_with(b"/a"), "an event for both");
                    pair.fill(Vec::new());
                }
                assert!(drained == sent, "borrowed: {borrows}");
            }
        }
    }

    #[test]
    fn both_ways_of_taking_outputs_can_alternate() {
        let mut outputs = outputs();
        let sent: Vec<_> = (0..100).map(|xid| reply(&mut outputs, xid, 3 * xid)).collect();
        for (xid, sent) in sent.iter().enumerate() {
            let taken = if xid % 3 == 0 {
                outputs.pop_frame().map(|(_, frame)| frame.to_vec())
            } else {
                match outputs.pop() {
                    Some(Output::Send { frame, .. }) => Some(frame.to_vec()),
                    _ => None,
                }
            };
            assert_eq!(taken.as_ref(), Some(sent));
            if xid == 50 {
                reply(&mut outputs, 100, 1);
            }
        }
        assert_eq!(drain(&mut outputs, true).len(), 1);
    }

    #[test]
    fn a_body_that_is_not_sent_is_lost() {
        let mut outputs = outputs();
        let first = reply(&mut outputs, 1, 10);
        outputs.body(|out| out.put_bytes(9, 100));
        let second = reply(&mut outputs, 2, 20);
        outputs.body(|out| out.put_bytes(9, 100));
        assert_eq!(drain(&mut outputs, true), [first, second]);
    }

    #[test]
    fn a_reply_that_is_too_long_is_an_error() {
        let mut outputs = outputs();
        reply(&mut outputs, 1, MAX_REPLY);
        let error = ReplyHeader { err: ErrorCode::MARSHALLING_ERROR, ..header(1) };
        assert_eq!(drain(&mut outputs, true), [[&[0, 0, 0, 16][..], &error.to_bytes()].concat()]);
    }

    #[test]
    fn memory_of_a_burst_is_given_back() {
        let mut outputs = outputs();
        (0..2 * KEPT / 1_000).for_each(|xid| drop(reply(&mut outputs, xid, 1_000)));
        assert!(outputs.buffer.capacity() > KEPT);
        drain(&mut outputs, true);
        assert!(outputs.buffer.capacity() <= KEPT);
    }
}
