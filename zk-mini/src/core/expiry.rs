//! Expiry of sessions: when their time has run out, and on demand.

use zk_wire::{SessionId, Xid};

use crate::core::Core;
use crate::core::history::EndReason;
use crate::core::message::Now;

impl Core {
    /// Lets the sessions expire whose time has run out, as far as there is `room`.
    pub(crate) fn expire(&mut self, now: Now, room: &mut usize) {
        while *room > 0
            && let Some(id) = self.sessions.expired(now.mono)
        {
            // A session costs as much as the nodes that go with it.
            *room = room.saturating_sub(1 + self.tree.ephemerals_of(id));
            self.expire_session(now, id, EndReason::Expired);
        }
    }

    /// Lets a session expire before its time, if it is alive and the disk accepts writes.
    pub(crate) fn expire_now(&mut self, now: Now, id: SessionId) {
        self.expire_local_now(id);
        if !self.is_still() && self.sessions.get(id).is_some() {
            self.expire_session(now, id, EndReason::Forced);
        }
    }

    /// Ends a session and closes its connection.
    fn expire_session(&mut self, now: Now, id: SessionId, reason: EndReason) {
        let conn = self.sessions.get(id).and_then(|session| session.conn);
        let ends = self.faults.is_empty() || !self.holds_nodes_of(now, id, reason);
        // On demand it ends at once, however many nodes it has: who asks for that waits for it.
        if ends && reason == EndReason::Expired && self.goes_in_steps(id) {
            self.leave(now, id, reason, None);
        } else if ends {
            self.end_session(now, id, Xid(0), reason);
        }
        self.outputs.expired(id);
        // Each server of an ensemble closes it when it hears of the end.
        if let Some(conn) = conn
            && (self.ensemble.is_none() || !ends)
        {
            self.close(conn);
        }
    }
}
