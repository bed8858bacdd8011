//! Outputs of the core: their queue, and the buffer that frames are written into.

use std::collections::VecDeque;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use zk_wire::{
    Encode, ErrorCode, EventType, KeeperState, ReplyHeader, SessionId, WatchedEventView, Xid, Zxid, length,
};

use crate::core::faults::EventFate;
use crate::core::gates::Gates;
use crate::core::message::{ConnId, Note, Output};
use crate::core::txn::Txn;

/// Bytes of a frame's length field.
const LENGTH: usize = 4;

/// Room for the length and the header at the front of a frame.
const HEAD: usize = LENGTH + ReplyHeader::LEN;

/// Size of memory that is requested when the buffer is full.
const CHUNK: usize = 16 * 1024;

/// Maximum length of a frame that leaves its memory in the buffer. Longer ones take it along, so that one huge reply
/// does not hold memory for good.
const KEPT: usize = 1 << 20;

/// Maximum capacity of the queue that is kept while it is empty.
const KEPT_PLACES: usize = 4_096;

/// Outputs in order. All frames are written into one buffer and split off.
#[derive(Debug)]
pub(crate) struct Outputs {
    queue: VecDeque<Queued>,
    /// Outputs without a frame, in order.
    others: VecDeque<Output>,
    buffer: BytesMut,
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
    Frame { conn: ConnId, frame: Bytes },
    Other,
}

/// Body of a frame, with room in front for the length and the header.
#[derive(Debug)]
pub(crate) struct Body(BytesMut);

impl Outputs {
    pub(crate) fn new(max_reply: usize, gates: Gates) -> Self {
        let (queue, others) = (VecDeque::new(), VecDeque::new());
        Self { queue, others, buffer: BytesMut::new(), max_reply, gates, diverted: None }
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Output> {
        match self.queue.pop_front() {
            Some(Queued::Frame { conn, frame }) => Some(Output::Send { conn, frame }),
            Some(Queued::Other) => self.others.pop_front(),
            None => {
                if self.queue.capacity().max(self.others.capacity()) > KEPT_PLACES {
                    (self.queue, self.others) = (VecDeque::new(), VecDeque::new());
                }
                None
            }
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
            self.queue.push_back(Queued::Frame { conn, frame });
        } else {
            self.queue.push_back(Queued::Other);
            self.others.push_back(output);
        }
    }

    /// Writes the body of a frame. Send it by one of the methods below.
    pub(crate) fn body(&mut self, write: impl FnOnce(&mut BytesMut)) -> Body {
        if self.buffer.capacity() < 256 {
            self.buffer.reserve(CHUNK);
        }
        // The length and the header are filled in when the frame is sent.
        self.buffer.put_slice(&[0; HEAD]);
        write(&mut self.buffer);
        let frame = self.buffer.split();
        // The rest of the buffer shares its memory with the frame.
        if self.buffer.capacity() > KEPT || frame.len() > KEPT {
            self.buffer = BytesMut::new();
        }
        Body(frame)
    }

    /// Writes a body of one record.
    pub(crate) fn record(&mut self, record: &impl Encode) -> Body {
        self.body(|out| record.encode(out))
    }

    /// Sends a reply. If it is longer than a frame or the configured maximum, an error is sent instead.
    #[inline(always)]
    pub(crate) fn reply(&mut self, conn: ConnId, header: ReplyHeader, body: Option<Body>) {
        let body = body.unwrap_or_else(|| self.body(|_| {}));
        let frame = match body.with_header(header) {
            Some(frame) if frame.len() <= self.max_reply => frame,
            _ => {
                let header = ReplyHeader { err: ErrorCode::MARSHALLING_ERROR, ..header };
                let Some(frame) = self.body(|_| {}).with_header(header) else { return };
                frame
            }
        };
        self.send(conn, frame);
    }

    /// Sends the answer to a handshake, which has no header.
    pub(crate) fn greet(&mut self, conn: ConnId, body: Body) {
        if let Some(frame) = body.without_header() {
            self.send(conn, frame);
        }
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
                self.record(&event).with_header(header)
            });
            if let Some(frame) = frame.clone() {
                self.send(conn, frame);
            }
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

    #[inline(always)]
    fn send(&mut self, conn: ConnId, frame: Bytes) {
        if self.is_direct() {
            self.queue.push_back(Queued::Frame { conn, frame });
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

impl Body {
    /// Returns the frame with a header; `None` if it is too long for a frame.
    fn with_header(self, header: ReplyHeader) -> Option<Bytes> {
        let Self(mut frame) = self;
        let len = length(frame.len() - LENGTH).ok()?;
        let (front, rest) = frame.split_first_chunk_mut()?;
        *front = len.to_be_bytes();
        *rest.first_chunk_mut()? = header.to_bytes();
        Some(frame.freeze())
    }

    /// Returns the frame without a header; `None` if it is too long for a frame.
    fn without_header(self) -> Option<Bytes> {
        let Self(mut frame) = self;
        // The length moves to the end of the room, directly before the body.
        frame.advance(ReplyHeader::LEN);
        let len = length(frame.len() - LENGTH).ok()?;
        *frame.first_chunk_mut()? = len.to_be_bytes();
        Some(frame.freeze())
    }
}
