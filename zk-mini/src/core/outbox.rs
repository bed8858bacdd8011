//! What the core puts out: a queue of outputs, and the buffer that frames are written into.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use zk_wire::{
    ByteString, Encode, ErrorCode, EventType, FrameWriter, KeeperState, ReplyHeader, SessionId, WatchedEvent,
    Xid, Zxid,
};

use super::{ConnId, Output, Txn};

/// How much is asked for at once when the buffer is full.
const CHUNK: usize = 16 * 1024;

/// A frame longer than this takes its memory with it; otherwise the room of one huge reply would be kept for good.
const KEPT: usize = 1 << 20;

/// Outputs in order. All frames are written into one buffer and split off it.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    queue: VecDeque<Output>,
    buffer: BytesMut,
}

impl Outbox {
    pub(super) fn pop(&mut self) -> Option<Output> {
        self.queue.pop_front()
    }

    pub(super) fn persist(&mut self, txn: Txn) {
        self.queue.push_back(Output::Persist(txn));
    }

    pub(super) fn expired(&mut self, session: SessionId) {
        self.queue.push_back(Output::Expired { session });
    }

    pub(super) fn close(&mut self, conn: ConnId) {
        self.queue.push_back(Output::Close { conn });
    }

    /// Sends one frame, written by `write`.
    pub(super) fn frame(&mut self, conn: ConnId, write: impl FnOnce(&mut FrameWriter<'_>)) {
        let frame = self.encode(write);
        self.queue.push_back(Output::Send { conn, frame });
    }

    fn encode(&mut self, write: impl FnOnce(&mut FrameWriter<'_>)) -> Bytes {
        if self.buffer.capacity() < 256 {
            self.buffer.reserve(CHUNK);
        }
        write(&mut FrameWriter::new(&mut self.buffer));
        let frame = self.buffer.split().freeze();
        if frame.len() > KEPT {
            self.buffer = BytesMut::new();
        }
        frame
    }

    /// Sends a reply that is a header only.
    pub(super) fn header(&mut self, conn: ConnId, xid: Xid, zxid: Zxid, err: ErrorCode) {
        self.frame(conn, |frame| frame.put(&ReplyHeader { xid, zxid, err }));
    }

    /// Sends a watch event to all of `conns`; it is written once.
    pub(super) fn event(
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
            self.queue.push_back(Output::Send { conn, frame: frame.clone() });
        }
    }

    /// Sends a reply to a request that succeeded.
    pub(super) fn reply(&mut self, conn: ConnId, xid: Xid, zxid: Zxid, body: &impl Encode) {
        self.frame(conn, |frame| {
            frame.put(&ReplyHeader { xid, zxid, err: ErrorCode::OK });
            frame.put(body);
        });
    }
}
