//! What goes to the server.

use bytes::Bytes;
use zk_wire::{
    CloseSession, ConnectRequest, Encode, FrameWriter, Millis, OpCode, Ping, Request, RequestHeader,
    SessionId, SetWatches, Xid, Zxid,
};

use super::calls::{SentAuth, What};
use super::{CallId, Link, Outgoing, Session};

impl Session {
    pub(super) fn handle_connected(&mut self, now: Millis) {
        let Link::Opening(until) = self.link else { return };
        let (session_id, password) = match &self.credentials {
            Some(credentials) => (credentials.id, credentials.password.clone()),
            None => (SessionId::NONE, Bytes::from_static(&[0; 16])),
        };
        let blind = self.must_ask_blindly(now);
        FrameWriter::new(&mut self.outgoing).put(&ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: if blind { Zxid(0) } else { self.seen },
            timeout: i32::try_from(self.config.session_timeout.0).unwrap_or(i32::MAX),
            session_id,
            password: Some(password),
            read_only: Some(false),
        });
        self.link = Link::Handshaking { until, blind };
    }

    /// A server that is behind what we have seen ends the connection without a word, before it looks at the
    /// session. A server that lost its data does so for ever, and would never say that the session is gone.
    /// So when all servers have refused for longer than the session timeout we ask without telling what we
    /// have seen, and go on with the session only if the server turns out not to be behind.
    fn must_ask_blindly(&self, now: Millis) -> bool {
        let refused_by_all = self.refusals >= self.config.servers;
        self.credentials.is_some() && refused_by_all && now.since(self.lost_at) > self.timeout
    }

    /// A call goes out. An auth packet has its own number and its own queue of answers.
    pub(super) fn send_call(&mut self, now: Millis, id: CallId, request: Outgoing) {
        let Outgoing { op, body, watch } = request;
        if op == OpCode::AUTH {
            self.send_auth(now, Some(id), body);
            return;
        }
        let xid = self.calls.push_sent(What::Call(id, watch));
        self.put(now, xid, op, &Raw(&body));
    }

    pub(super) fn send_auth(&mut self, now: Millis, id: Option<CallId>, body: Bytes) {
        self.put(now, Xid::AUTH, OpCode::AUTH, &Raw(&body));
        self.calls.push_sent_auth(SentAuth { id, body });
    }

    pub(super) fn send_set_watches(&mut self, now: Millis) {
        for request in self.watches.set_again(self.watched_since) {
            self.put(now, Xid::SET_WATCHES, SetWatches::OP, &request);
            self.sent_set_watches += 1;
        }
    }

    pub(super) fn send_ping(&mut self, now: Millis) {
        self.put(now, Xid::PING, OpCode::PING, &Ping {});
    }

    pub(super) fn send_close(&mut self, now: Millis) {
        if let Some(closing) = &mut self.closing {
            closing.sent = true;
        }
        let xid = self.calls.push_sent(What::Close);
        self.put(now, xid, OpCode::CLOSE_SESSION, &CloseSession {});
    }

    fn put<T: Encode>(&mut self, now: Millis, xid: Xid, op: OpCode, body: &T) {
        let mut frame = FrameWriter::new(&mut self.outgoing);
        frame.put(&RequestHeader { xid, op });
        frame.put(body);
        drop(frame);
        if let Link::Live { wrote, .. } = &mut self.link {
            *wrote = now;
        }
    }
}

/// A record that is encoded already.
struct Raw<'a>(&'a [u8]);

impl Encode for Raw<'_> {
    fn encode(&self, out: &mut bytes::BytesMut) {
        out.extend_from_slice(self.0);
    }
}
