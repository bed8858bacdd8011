//! The first frame of a connection: a new session, or an old one taken over.

use bytes::Bytes;
use zk_wire::{ConnectRequest, ConnectResponse, Decode, Millis, SessionId, Xid};

use crate::core::access::password::{is_password, password};
use crate::core::txn::Change;
use crate::core::{ConnId, Core, Note, Now, Refusal};

impl Core {
    /// Answers the first frame of a connection.
    pub(crate) fn handshake(&mut self, now: Now, conn: ConnId, mut frame: Bytes) {
        let Ok(request) = ConnectRequest::decode(&mut frame, "ConnectRequest") else {
            return self.turn_away(conn, Refusal::Unreadable);
        };
        // A client that has seen the future must not be shown the past: it has to try another server.
        if request.last_zxid_seen > self.last_zxid {
            let (seen, last) = (request.last_zxid_seen, self.last_zxid);
            return self.turn_away(conn, Refusal::SeenMore { seen, last });
        }
        // A new session would be a change.
        if self.read_only && request.session_id == SessionId::NONE {
            return self.turn_away(conn, Refusal::NoNewSessions);
        }
        let timeout = self.negotiate(request.timeout);
        if let Some(connection) = self.conns.get_mut(&conn) {
            connection.knows_read_only = request.read_only.is_some();
        }
        if request.session_id == SessionId::NONE {
            let id = self.sessions.next_id(now.wall);
            self.commit(now, id, Xid(0), Change::CreateSession { timeout });
            self.attach(conn, id, timeout);
            self.outbox.note(Note::Opened { conn, session: id, timeout });
            return self.welcome(conn, id, timeout);
        }
        // Whoever names a session ends the connection that it is used from, before any proof is asked for:
        // that is ZooKeeper's order.
        let previous = self.sessions.get(request.session_id).and_then(|session| session.conn);
        if let Some(previous) = previous {
            self.close(previous);
        }
        let id = request.session_id;
        let proven = request.password.is_some_and(|given| is_password(&self.password(id), &given));
        if self.sessions.get(id).is_none() {
            self.refuse(conn, Refusal::NoSuchSession(id));
        } else if proven {
            self.attach(conn, id, timeout);
            self.sessions.touch(id, now.mono);
            self.outbox.note(Note::Resumed { conn, session: id, timeout });
            self.welcome(conn, id, timeout);
        } else {
            self.refuse(conn, Refusal::WrongPassword(id));
        }
    }

    /// Answers that a connection has its session.
    pub(crate) fn welcome(&mut self, conn: ConnId, id: SessionId, timeout: Millis) {
        let response = ConnectResponse {
            protocol_version: 0,
            timeout: i32::try_from(timeout.0).unwrap_or(i32::MAX),
            session_id: id,
            password: Some(Bytes::copy_from_slice(&self.password(id))),
            read_only: self.read_only_byte(conn),
        };
        self.outbox.greet(conn, &response);
    }

    /// Answers that the session is gone, or was not the client's.
    fn refuse(&mut self, conn: ConnId, reason: Refusal) {
        let response = ConnectResponse {
            protocol_version: 0,
            timeout: 0,
            session_id: SessionId::NONE,
            password: Some(Bytes::from_static(&[0; 16])),
            read_only: self.read_only_byte(conn),
        };
        self.outbox.greet(conn, &response);
        self.turn_away(conn, reason);
    }

    /// Closes a connection that gets no session.
    fn turn_away(&mut self, conn: ConnId, reason: Refusal) {
        self.outbox.note(Note::Refused { conn, reason });
        self.close(conn);
    }

    fn password(&self, id: SessionId) -> [u8; 16] {
        password(self.config.session_secret.as_ref(), id)
    }

    fn attach(&mut self, conn: ConnId, id: SessionId, timeout: Millis) {
        if let Some(session) = self.sessions.get_mut(id) {
            session.conn = Some(conn);
            session.current_timeout = timeout;
        }
        if let Some(connection) = self.conns.get_mut(&conn) {
            connection.session = Some(id);
        }
    }

    /// This server is never read-only; clients before 3.4 are not told.
    fn read_only_byte(&self, conn: ConnId) -> Option<bool> {
        self.conns.get(&conn).filter(|connection| connection.knows_read_only).map(|_| false)
    }

    /// The timeout that a session gets.
    pub(crate) fn negotiate(&self, timeout: i32) -> Millis {
        let (min, max) = self.session_timeout_bounds();
        // As in ZooKeeper the upper bound wins if they are the wrong way round.
        Millis(u64::try_from(timeout).unwrap_or(0)).max(min).min(max)
    }
}
