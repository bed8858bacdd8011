//! Requests about the session: ping, createSession on an established connection, closeSession.

use zk_wire::{DecodeError, Fields, Millis, OpCode, RequestView, SessionId, Xid, Zxid};

use crate::core::history::{Cause, EndReason, SessionEnd};
use crate::core::message::{Note, Now};
use crate::core::requests::call::{Answer, Call, Failure, Reply};
use crate::core::txn::Change;
use crate::core::{Core, size};

/// Timeout in milliseconds: the only field of a createSession that the server reads.
pub(crate) struct SessionTimeoutView(i32);

impl RequestView<'_> for SessionTimeoutView {
    fn read(_: OpCode, fields: &mut Fields<'_>) -> Result<Self, DecodeError> {
        fields.int("CreateSession.timeout").map(Self)
    }
}

impl Core {
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "a handler as all others")]
    pub(crate) fn ping(&self, _: &Call) -> Answer {
        Ok(Reply::Header)
    }

    /// Handles a createSession on an established connection, as ZooKeeper does: the answer is that of a handshake,
    /// and the requested timeout, within the bounds, applies after the next restart.
    pub(crate) fn create_session(&mut self, call: &Call, timeout: &SessionTimeoutView) -> Answer {
        if let Some(timeout) = self.local_timeout(call) {
            return Ok(Reply::Greeting(self.welcome(call.conn, call.session, timeout)));
        }
        // The present timeout stays until the next restart.
        let negotiated = self.sessions.get(call.session).map_or(Millis(0), |session| session.current_timeout);
        let timeout = self.negotiate(timeout.0);
        self.commit(call.now, call.session, call.xid, call.into(), Change::CreateSession { timeout });
        if let Some(session) = self.sessions.get_mut(call.session) {
            session.current_timeout = negotiated;
        }
        self.sessions.touch(call.session, call.now.mono);
        Ok(Reply::Greeting(self.welcome(call.conn, call.session, negotiated)))
    }

    pub(crate) fn close_session(&mut self, call: &Call) -> Answer {
        if let Some(answer) = self.close_local(call) {
            return answer;
        }
        // A rule decides on an answer that is there.
        if self.goes_in_steps(call.session) && self.faults.is_empty() {
            self.leave(call.now, call.session, EndReason::Closed, Some(*call));
            return Err(Failure::Later);
        }
        self.end_session(call.now, call.session, call.xid, EndReason::Closed);
        self.note(Note::Closed { conn: call.conn, session: call.session });
        Ok(Reply::Last)
    }

    /// Ends a session and deletes its ephemeral nodes.
    pub(crate) fn end_session(&mut self, now: Now, session: SessionId, xid: Xid, reason: EndReason) {
        // The transaction that ends it, so that the history since an earlier one has both.
        self.record_end(now, session, reason, self.next_zxid());
        let ephemerals = self.tree.ephemerals(session);
        let audited = if self.config.audit { ephemerals.clone() } else { Vec::new() };
        let change = Change::CloseSession { ephemerals: Some(ephemerals) };
        // The session ends even if the list of its nodes is too long for a transaction.
        let listed = size::fits(&change, &self.config);
        let change = if listed { change } else { Change::CloseSession { ephemerals: None } };
        self.commit(now, session, xid, Cause::SessionEnd, change);
        self.audit_ephemerals(now.wall, session, audited);
        self.outputs.gates.give_up_departed(session);
    }

    /// Records why a session ends, for the history of the nodes that go with it.
    pub(crate) fn record_end(&mut self, now: Now, id: SessionId, reason: EndReason, zxid: Zxid) {
        if let Some(session) = self.sessions.get(id).filter(|_| self.history.is_on()) {
            let end = SessionEnd {
                reason,
                silent: now.mono.since(session.heard),
                timeout: session.current_timeout,
                at: now.wall,
                client: session.client,
            };
            let ephemerals = self.tree.ephemerals_of(id);
            self.history.session_ends(zxid, id, end, ephemerals);
        }
    }
}
