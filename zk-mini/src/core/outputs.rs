//! What the core puts out: a queue of outputs, and the buffer that frames are written into.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use zk_wire::{
    ByteString, ConnectResponse, Encode, ErrorCode, EventType, FrameWriter, KeeperState, ReplyHeader,
    SessionId, TooLong, WatchedEvent, Xid, Zxid,
};

use crate::core::{ConnId, Note, Output, Txn};

/// How much is asked for at once when the buffer is full.
const CHUNK: usize = 16 * 1024;

/// A frame longer than this takes its memory with it; otherwise the room of one huge reply would be kept for good.
const KEPT: usize = 1 << 20;

/// With more places than this a queue that is empty gives them back.
const KEPT_PLACES: usize = 4_096;

/// Outputs in order. All frames are written into one buffer and split off it.
#[derive(Debug)]
pub(crate) struct Outbox {
    queue: VecDeque<Output>,
    buffer: BytesMut,
    max_reply: usize,
}

impl Outbox {
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

    /// Sends the answer to a handshake.
    pub(crate) fn greet(&mut self, conn: ConnId, response: &ConnectResponse) {
        let frame = self.encode(|frame| frame.put(response));
        self.send(conn, frame);
    }

    /// Sends a reply: the header, and what `write` adds to it. One that no frame can take is an error instead.
    pub(crate) fn frame(
        &mut self,
        conn: ConnId,
        header: ReplyHeader,
        write: impl FnOnce(&mut FrameWriter<'_>),
    ) {
        let written = self.encode(|frame| {
            frame.put(&header);
            write(frame);
        });
        let written = match written {
            Ok(frame) if frame.len() <= self.max_reply => Ok(frame),
            _ => self.encode(|frame| frame.put(&ReplyHeader { err: ErrorCode::MARSHALLING_ERROR, ..header })),
        };
        self.send(conn, written);
    }

    fn send(&mut self, conn: ConnId, written: Result<Bytes, TooLong>) {
        if let Ok(frame) = written {
            self.queue.push_back(Output::Send { conn, frame });
        }
    }

    fn encode(&mut self, write: impl FnOnce(&mut FrameWriter<'_>)) -> Result<Bytes, TooLong> {
        if self.buffer.capacity() < 256 {
            self.buffer.reserve(CHUNK);
        }
        let mut frame = FrameWriter::new(&mut self.buffer);
        write(&mut frame);
        let written = frame.finish();
        let frame = self.buffer.split().freeze();
        if self.buffer.capacity() > KEPT || frame.len() > KEPT {
            self.buffer = BytesMut::new();
        }
        written.map(|()| frame)
    }

    /// Sends a reply that is a header only.
    pub(crate) fn header(&mut self, conn: ConnId, xid: Xid, zxid: Zxid, err: ErrorCode) {
        self.frame(conn, ReplyHeader { xid, zxid, err }, |_| {});
    }

    /// Sends a watch event to all of `conns`; it is written once. It fits a frame, as the request or the transaction did
    /// that the path is from.
    pub(crate) fn event(
        &mut self,
        conns: impl IntoIterator<Item = ConnId>,
        zxid: Zxid,
        kind: EventType,
        path: &ByteString,
    ) {
        let mut written = None;
        for conn in conns {
            let frame = written.get_or_insert_with(|| {
                let path = path.clone();
                let event = WatchedEvent { event: kind, state: KeeperState::SYNC_CONNECTED, path };
                self.encode(|frame| {
                    frame.put(&ReplyHeader { xid: Xid::NOTIFICATION, zxid, err: ErrorCode::OK });
                    frame.put(&event);
                })
            });
            let frame = frame.clone();
            self.send(conn, frame);
        }
    }

    /// Sends a reply to a request that succeeded.
    pub(crate) fn reply(&mut self, conn: ConnId, xid: Xid, zxid: Zxid, body: &impl Encode) {
        self.frame(conn, ReplyHeader { xid, zxid, err: ErrorCode::OK }, |frame| frame.put(body));
    }
}
