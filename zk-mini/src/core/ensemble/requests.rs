//! Requests and handshakes at a server of an ensemble: what it handles itself, and what it hands to the leader.

use bytes::Bytes;
use zk_wire::{ConnectRequest, Decode, ErrorCode, Fields, OpCode, RequestHeader, SessionId};

use super::waiting::Item;
use crate::core::Core;
use crate::core::faults::{Fired, Then};
use crate::core::message::{ConnId, Now, Output};
use crate::core::requests::call::{Call, Failure};
use crate::core::requests::{Class, class_of};

/// Request of a client at a server.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) server: usize,
    pub(super) call: &'a Call,
    pub(super) body: Fields<'a>,
    pub(super) frame: &'a [u8],
    /// A rule has delayed it: no rule is asked about it again.
    pub(super) is_delayed: bool,
}

impl Asked<'_> {
    /// Lets the state in place handle it.
    pub(super) fn here(&self, core: &mut Core) {
        core.request_here(self.call, self.body, self.frame, self.is_delayed);
    }
}

impl Core {
    /// Handles a request at the server of its connection.
    ///
    /// Writes go to the leader at once; what the server handles itself waits for the answers to them, so each client sees
    /// everything in its own order.
    #[cold]
    pub(crate) fn request_at_server(
        &mut self,
        call: &Call,
        body: Fields<'_>,
        frame: &[u8],
        is_delayed: bool,
    ) {
        let Some(server) = self.server_of(call.conn) else { return };
        if self.is_closing(call.conn) {
            return;
        }
        let asked = Asked { server, call, body, frame, is_delayed };
        if self.is_leaderless() {
            return self.request_read_only(&asked);
        }
        let class = class_of(call.op);
        // The leader has nothing to do with the end of a session that it does not know.
        let is_own = self.config.local_sessions && self.is_local(call);
        match class {
            Class::Session if is_own && self.waits(call.conn) => self.wait_behind(&asked),
            Class::Session if is_own => self.as_server(server, |core| asked.here(core)),
            Class::Write | Class::Session => self.request_of_leader(&asked),
            Class::Read if call.op == OpCode::SYNC => self.request_of_leader(&asked),
            // An identity counts for every later request, also for one that is ahead of this answer.
            Class::Connection if self.waits(call.conn) => {
                self.outputs.divert();
                asked.here(self);
                for output in self.outputs.diverted() {
                    let is_close = matches!(output, Output::Close { .. });
                    self.wait(call.conn, Item::Output(output), is_close);
                }
            }
            Class::Connection => self.as_server(server, |core| asked.here(core)),
            Class::Read | Class::Ping | Class::Unknown if self.waits(call.conn) => self.wait_behind(&asked),
            Class::Read | Class::Ping | Class::Unknown => {
                self.answer_at_server(server, call, |core| asked.here(core));
            }
        }
    }

    /// Lets a request wait for answers of the leader. The rules see it now, in the order of arrival, and so does a delay by
    /// one: what waits is always ahead of what the gate of the connection holds.
    fn wait_behind(&mut self, asked: &Asked<'_>) {
        let Asked { call, body, frame, is_delayed, .. } = *asked;
        let sees_rules = !is_delayed && !self.faults.is_empty();
        let fired = if sees_rules { self.fault_of_request(call, body) } else { None };
        if fired.is_some_and(|fired| self.waits_by_rule(call.now, call.conn, frame, fired)) {
            return;
        }
        // One that counts as not arrived is no sign of life.
        if !matches!(fired.map(|fired| fired.then), Some(Then::Silent | Then::Disconnect)) {
            self.touch(call.now, call.conn, call.session);
        }
        // A copy: a frame is a part of a larger buffer, which would live as long.
        self.wait(call.conn, Item::Request(Bytes::copy_from_slice(frame), fired), false);
    }

    /// Handles a request that has waited for answers of the leader. Its frame has passed the gate of the connection already.
    pub(super) fn request_behind(&mut self, now: Now, conn: ConnId, frame: &[u8], fired: Option<Fired>) {
        let Some(server) = self.server_of(conn) else { return };
        let Some(session) = self.peers.session_of(conn) else { return };
        let mut body = Fields::new(frame);
        let Ok(RequestHeader { xid, op }) = RequestHeader::read(&mut body) else { return };
        let call = Call { now, conn, session, xid, op };
        self.answer_at_server(server, &call, |core| match fired {
            Some(fired) => core.answer_by_rule(&call, body, fired),
            None => core.request_here(&call, body, frame, true),
        });
    }

    /// Answers a request at a server, with its state. The leader notices it at once if the session has moved.
    fn answer_at_server(&mut self, server: usize, call: &Call, answer: impl FnOnce(&mut Self)) {
        if self.is_leader(server) && self.has_moved(call.session, server) {
            return self.close(call.conn);
        }
        self.as_server(server, answer);
    }

    /// Handles a request that needs the leader. A session that has moved to another server writes nothing here: that takes
    /// a zxid, and ends the connection.
    fn request_of_leader(&mut self, asked: &Asked<'_>) {
        let Asked { server, call, body, .. } = *asked;
        let class = class_of(call.op);
        let is_own = self.config.local_sessions && self.is_local(call);
        let moved = class != Class::Session && self.has_moved(call.session, server);
        if moved && class == Class::Read && self.is_leader(server) {
            return self.close(call.conn);
        }
        let refusal = match class {
            Class::Write if moved => Some(ErrorCode::SESSION_MOVED),
            Class::Write | Class::Session if !is_own && !self.is_alive(call.session) => {
                Some(ErrorCode::SESSION_EXPIRED)
            }
            _ => None,
        };
        self.as_leader(|core| {
            let Some(code) = refusal else { return asked.here(core) };
            let mut answer = core.refuse(call, code);
            core.audit_refusal(call, body);
            if core.history.is_on() {
                core.history.request(call, core.last_zxid, body, &answer);
            }
            if code == ErrorCode::SESSION_MOVED {
                answer = Err(Failure::Close);
            }
            core.answer(call, class, answer);
        });
        self.settle_members(call.now);
    }

    /// Handles the first frame of a connection at its server. The leader opens sessions, unless the servers give sessions of their
    /// own; a server resumes them itself, and then owns them.
    #[cold]
    pub(crate) fn handshake_at_server(&mut self, now: Now, conn: ConnId, frame: Bytes, is_delayed: bool) {
        let Some(server) = self.server_of(conn) else { return };
        if self.is_closing(conn) {
            return;
        }
        let request = ConnectRequest::decode(&mut frame.clone(), "ConnectRequest").ok();
        let has_seen_more = |request: &ConnectRequest| request.last_zxid_seen > self.seen_at(server);
        // Refusals, too, are the server's own.
        match request.filter(|request| !has_seen_more(request) && !self.is_leaderless()) {
            Some(request) if request.session_id == SessionId::NONE && !self.config.local_sessions => {
                self.as_leader(|core| core.handshake_here(now, conn, frame, is_delayed));
            }
            _ => self.as_server(server, |core| core.handshake_here(now, conn, frame, is_delayed)),
        }
    }

    /// Closes the connections that a session still has at the server of another one.
    pub(crate) fn close_earlier(&mut self, conn: ConnId, session: SessionId) {
        let Some(server) = self.server_of(conn) else { return };
        for earlier in self.conns_at(server, session) {
            self.close(earlier);
        }
    }

    /// Notes that a session is used at the server of a connection.
    pub(crate) fn owns_from_now(&mut self, conn: ConnId, session: SessionId) {
        if let Some(server) = self.server_of(conn)
            && let Some(ensemble) = &mut self.ensemble
            && ensemble.leader.is_some()
        {
            ensemble.owners.insert(session, server);
        }
    }

    /// Returns `true` if a session is used at another server. After an election the first server to use it owns it.
    fn has_moved(&mut self, session: SessionId, server: usize) -> bool {
        let is_alive = self.is_alive(session);
        let Some(ensemble) = &mut self.ensemble else { return false };
        match ensemble.owners.get(&session) {
            Some(owner) => *owner != server,
            None => {
                if is_alive {
                    ensemble.owners.insert(session, server);
                }
                false
            }
        }
    }

    fn is_closing(&self, conn: ConnId) -> bool {
        let waiting = self.ensemble.as_ref().and_then(|ensemble| ensemble.waiting.get(&conn));
        waiting.is_some_and(|waiting| waiting.is_closing)
    }
}
