//! What the core puts out: a queue of outputs, and the buffer that frames are written into.

use std::collections::VecDeque;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use zk_wire::{
    Encode, ErrorCode, EventType, KeeperState, ReplyHeader, SessionId, WatchedEventView, Xid, Zxid, length,
};

use crate::core::message::{ConnId, Note, Output};
use crate::core::txn::Txn;

/// Bytes of a frame's length.
const LENGTH: usize = 4;

/// Room for the length and the header at the front of a frame.
const HEAD: usize = LENGTH + ReplyHeader::LEN;

/// How much is asked for at once when the buffer is full.
const CHUNK: usize = 16 * 1024;

/// A frame longer than this takes its memory with it; otherwise the room of one huge reply would be kept for good.
const KEPT: usize = 1 << 20;

/// With more places than this a queue that is empty gives them back.
const KEPT_PLACES: usize = 4_096;

/// Outputs in order. All frames are written into one buffer and split off it.
#[derive(Debug)]
pub(crate) struct Outputs {
    queue: VecDeque<Output>,
    buffer: BytesMut,
    max_reply: usize,
}

/// Body of a frame, with room in front of it for what is known when the frame is sent.
#[derive(Debug)]
pub(crate) struct Body(BytesMut);

impl Outputs {
    pub(crate) fn new(max_reply: usize) -> Self {
        Self { queue: VecDeque::new(), buffer: BytesMut::new(), max_reply }
    }

    pub(crate) fn pop(&mut self) -> Option<Output> {
        if self.queue.is_empty() && self.queue.capacity() > KEPT_PLACES {
            self.queue = VecDeque::new();
        }
        self.queue.pop_front()
    }

    pub(crate) fn persist(&mut self, txn: Txn) {
        self.queue.push_back(Output::Persist(txn));
    }

    pub(crate) fn expired(&mut self, session: SessionId) {
        self.queue.push_back(Output::Expired { session });
    }

    pub(crate) fn note(&mut self, note: Note) {
        self.queue.push_back(Output::Note(note));
    }

    pub(crate) fn close(&mut self, conn: ConnId) {
        self.queue.push_back(Output::Close { conn });
    }

    /// Writes the body of a frame, which is sent by one of the methods below.
    pub(crate) fn body(&mut self, write: impl FnOnce(&mut BytesMut)) -> Body {
        if self.buffer.capacity() < 256 {
            self.buffer.reserve(CHUNK);
        }
        self.buffer.put_slice(&[0; HEAD]);
        write(&mut self.buffer);
        let frame = self.buffer.split();
        if self.buffer.capacity() > KEPT || frame.len() > KEPT {
            self.buffer = BytesMut::new();
        }
        Body(frame)
    }

    /// Writes a body of one record.
    pub(crate) fn record(&mut self, record: &impl Encode) -> Body {
        self.body(|out| record.encode(out))
    }

    /// Sends a reply. One that no frame can take, or that is longer than allowed, is an error instead.
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

    /// Sends a watch event to all of `conns`; it is written once. It fits a frame, as the request or the transaction did
    /// that the path is from.
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

    fn send(&mut self, conn: ConnId, frame: Bytes) {
        self.queue.push_back(Output::Send { conn, frame });
    }
}

impl Body {
    /// Returns the frame with a header; `None` if it is longer than a length can say.
    fn with_header(self, header: ReplyHeader) -> Option<Bytes> {
        let Self(mut frame) = self;
        let len = length(frame.len() - LENGTH).ok()?;
        let (front, rest) = frame.split_first_chunk_mut()?;
        *front = len.to_be_bytes();
        *rest.first_chunk_mut()? = header.to_bytes();
        Some(frame.freeze())
    }

    /// Returns the frame without a header, likewise.
    fn without_header(self) -> Option<Bytes> {
        let Self(mut frame) = self;
        frame.advance(ReplyHeader::LEN);
        let len = length(frame.len() - LENGTH).ok()?;
        *frame.first_chunk_mut()? = len.to_be_bytes();
        Some(frame.freeze())
    }
}
