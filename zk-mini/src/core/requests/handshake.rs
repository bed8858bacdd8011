//! Handshake: the first frame of a connection opens or resumes a session.

use bytes::Bytes;
use zk_wire::{ConnectRequest, ConnectResponse, Decode, Millis, OpCode, SessionId, Xid};

use crate::core::Core;
use crate::core::access::password::{is_password, password};
use crate::core::history::Cause;
use crate::core::message::{ConnId, Note, Now, Refusal};
use crate::core::outputs::Body;
use crate::core::throttle::Newcomer;
use crate::core::txn::Change;

/// Session that a handshake gives to a connection.
#[derive(Clone, Copy)]
pub(super) struct Granted {
    id: SessionId,
    timeout: Millis,
    pub(super) note: Note,
}

impl Core {
    /// Handles the first frame of a connection.
    pub(crate) fn handshake(&mut self, now: Now, conn: ConnId, frame: Bytes, is_delayed: bool) {
        if self.ensemble.is_some() {
            return self.handshake_at_server(now, conn, frame, is_delayed);
        }
        self.handshake_here(now, conn, frame, is_delayed);
    }

    /// Handles it with the state that is in place, in an ensemble.
    pub(crate) fn handshake_here(&mut self, now: Now, conn: ConnId, frame: Bytes, is_delayed: bool) {
        if !self.faults.is_empty()
            && !is_delayed
            && let Some(fault) = self.fault_of_handshake(now, conn, &frame)
        {
            return self.handshake_with_fault(now, conn, frame, fault);
        }
        let granted = self.grant_session(now, conn, frame);
        self.answer_handshake(conn, granted);
    }

    /// Sends the answer to a handshake, and closes the connection if it gets no session.
    pub(super) fn answer_handshake(&mut self, conn: ConnId, granted: Result<Granted, Refusal>) {
        match granted {
            Ok(Granted { id, timeout, note }) => {
                self.note(note);
                let greeting = self.welcome(conn, id, timeout);
                self.outputs.greet(conn, greeting);
            }
            Err(reason) => {
                // For other reasons the connection is closed without an answer.
                if let Refusal::NoSuchSession(_) | Refusal::WrongPassword(_) = reason {
                    let greeting =
                        self.greeting(conn, SessionId::NONE, Millis(0), Bytes::from_static(&[0; 16]));
                    self.outputs.greet(conn, greeting);
                }
                self.note(Note::Refused { conn, reason });
                self.close(conn);
            }
        }
    }

    /// Decides on a handshake: opens a session, or resumes the one that the client names.
    pub(super) fn grant_session(
        &mut self,
        now: Now,
        conn: ConnId,
        mut frame: Bytes,
    ) -> Result<Granted, Refusal> {
        let request =
            ConnectRequest::decode(&mut frame, "ConnectRequest").map_err(|_| Refusal::Unreadable)?;
        let newcomer = match request.session_id {
            SessionId::NONE if self.config.local_sessions && self.ensemble.is_some() => Newcomer::Local,
            SessionId::NONE => Newcomer::Global,
            _ => Newcomer::Renewed,
        };
        if !self.throttle_at(conn).admits(now.mono, newcomer) {
            return Err(Refusal::Throttled);
        }
        if self.is_leaderless() && request.read_only != Some(true) {
            return Err(Refusal::NoQuorum);
        }
        // A client must not see an earlier state than before, so it tries another server.
        if request.last_zxid_seen > self.last_zxid {
            return Err(Refusal::SeenMore { seen: request.last_zxid_seen, last: self.last_zxid });
        }
        // A new session could not be stored.
        if self.disk_lost && request.session_id == SessionId::NONE {
            return Err(Refusal::NoNewSessions);
        }
        let timeout = self.negotiate(request.timeout);
        if let Some(peer) = self.peers.get_mut(conn) {
            peer.knows_read_only = request.read_only.is_some();
        }
        if self.is_leaderless() || self.is_for_local(request.session_id) {
            return self.grant_local(now, conn, &request, timeout);
        }
        if request.session_id == SessionId::NONE {
            let id = match self.number_at(conn) {
                None => self.sessions.next_id(now.wall),
                Some(server) => self.sessions.take_id_of(server, now.wall),
            };
            let cause = Cause::Request { conn, op: OpCode::CREATE_SESSION };
            self.commit(now, id, Xid(0), cause, Change::CreateSession { timeout });
            self.attach(conn, id, timeout);
            return Ok(Granted { id, timeout, note: Note::Opened { conn, session: id, timeout } });
        }
        // The session's present connection is closed before the password is checked: that is ZooKeeper's order.
        let id = request.session_id;
        self.close_previous(conn, id);
        let proven = request.password.is_some_and(|given| is_password(&self.password(id), &given));
        if self.sessions.get(id).is_none() {
            return Err(Refusal::NoSuchSession(id));
        }
        if !proven {
            return Err(Refusal::WrongPassword(id));
        }
        self.outputs.gates.give_up_departed(id);
        self.attach(conn, id, timeout);
        self.sessions.touch(id, now.mono);
        Ok(Granted { id, timeout, note: Note::Resumed { conn, session: id, timeout } })
    }

    /// Decides on a handshake at a server that has sessions of its own, because there is no quorum or because it always does.
    fn grant_local(
        &mut self,
        now: Now,
        conn: ConnId,
        request: &ConnectRequest,
        timeout: Millis,
    ) -> Result<Granted, Refusal> {
        let id = request.session_id;
        if id == SessionId::NONE {
            let id = self.open_local(now, timeout);
            self.attach(conn, id, timeout);
            return Ok(Granted { id, timeout, note: Note::Opened { conn, session: id, timeout } });
        }
        if self.is_alive(id) {
            return Err(Refusal::NeedsQuorum(id));
        }
        self.close_earlier(conn, id);
        if !request.password.as_ref().is_some_and(|given| is_password(&self.password(id), given)) {
            return Err(Refusal::WrongPassword(id));
        }
        if !self.resume_local(now, id, timeout) {
            return Err(Refusal::NoSuchSession(id));
        }
        self.attach(conn, id, timeout);
        Ok(Granted { id, timeout, note: Note::Resumed { conn, session: id, timeout } })
    }

    /// Closes the present connection of a session; in an ensemble, those at the server of the next one.
    fn close_previous(&mut self, next: ConnId, id: SessionId) {
        if self.ensemble.is_some() {
            return self.close_earlier(next, id);
        }
        if let Some(previous) = self.sessions.get(id).and_then(|session| session.conn) {
            self.close(previous);
        }
    }

    /// Writes the answer to a handshake that succeeds.
    pub(crate) fn welcome(&mut self, conn: ConnId, id: SessionId, timeout: Millis) -> Body {
        self.greeting(conn, id, timeout, Bytes::copy_from_slice(&self.password(id)))
    }

    fn greeting(&mut self, conn: ConnId, id: SessionId, timeout: Millis, password: Bytes) -> Body {
        self.outputs.record(&ConnectResponse {
            protocol_version: 0,
            timeout: i32::try_from(timeout.0).unwrap_or(i32::MAX),
            session_id: id,
            password: Some(password),
            read_only: self.read_only_byte(conn),
        })
    }

    fn password(&self, id: SessionId) -> [u8; 16] {
        password(self.config.session_secret.as_ref(), id)
    }

    pub(crate) fn attach(&mut self, conn: ConnId, id: SessionId, timeout: Millis) {
        if let Some(session) = self.sessions.get_mut(id) {
            session.conn = Some(conn);
            session.client = self.peers.get(conn).map(|peer| peer.address);
            session.current_timeout = timeout;
        }
        self.peers.set_session(conn, Some(id));
        self.owns_from_now(conn, id);
    }

    /// Returns the read-only byte of the answer; `None` for clients before 3.4.
    fn read_only_byte(&self, conn: ConnId) -> Option<bool> {
        self.peers.get(conn).filter(|peer| peer.knows_read_only).map(|_| self.is_leaderless())
    }

    /// Returns the timeout for a session that asks for `timeout`.
    pub(crate) fn negotiate(&self, timeout: i32) -> Millis {
        let (min, max) = self.session_timeout_bounds();
        // As in ZooKeeper, the maximum wins if it is below the minimum.
        Millis(u64::try_from(timeout).unwrap_or(0)).max(min).min(max)
    }
}
