//! Expired sessions whose nodes stay for a time.

use std::collections::{BTreeMap, BTreeSet};

use zk_wire::{Millis, SessionId, Xid};

use crate::core::Core;
use crate::core::faults::after;
use crate::core::faults::case::{Case, What};
use crate::core::faults::then::Then;
use crate::core::history::EndReason;
use crate::core::message::Now;
use crate::core::session::Sessions;

/// Sessions that have expired without a transaction. They are gone for every client; the transaction that ends them, and
/// deletes their nodes, comes at the end of the hold. Until then a log and an image have them as living sessions, so
/// after a loss of the memory they get their full timeout once more.
#[derive(Debug, Default)]
pub(crate) struct HeldSessions {
    by_id: BTreeMap<SessionId, HeldSession>,
    due: BTreeSet<(Millis, SessionId)>,
}

#[derive(Clone, Copy, Debug)]
struct HeldSession {
    /// Timeout of its creation.
    timeout: Millis,
    until: Millis,
}

impl HeldSessions {
    /// Returns the time at which the first hold ends.
    pub(crate) fn next_end(&self) -> Option<Millis> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Adds the sessions to a list of ids and timeouts, which stays sorted.
    pub(crate) fn add_to(&self, timeouts: &mut Vec<(SessionId, Millis)>) {
        if !self.by_id.is_empty() {
            timeouts.extend(self.by_id.iter().map(|(id, held)| (*id, held.timeout)));
            timeouts.sort_unstable();
        }
    }

    /// Goes on in a state that was stored: a session that is alive there is held again. Others are not part of it.
    pub(crate) fn go_on_in(&mut self, sessions: &mut Sessions) {
        self.by_id.retain(|id, _| sessions.remove(*id).is_some());
        self.due.retain(|(_, id)| self.by_id.contains_key(id));
    }

    fn add(&mut self, id: SessionId, held: HeldSession) {
        self.by_id.insert(id, held);
        self.due.insert((held.until, id));
    }

    fn pop_due(&mut self, now: Millis) -> Option<SessionId> {
        let (at, id) = self.due.first().copied().filter(|(at, _)| *at <= now)?;
        self.due.remove(&(at, id));
        self.by_id.remove(&id);
        Some(id)
    }
}

impl Core {
    /// Shows an expiry to the rules. If one of them holds the nodes, ends the session without a transaction and returns
    /// `true`.
    #[cold]
    pub(crate) fn holds_nodes_of(&mut self, now: Now, id: SessionId, reason: EndReason) -> bool {
        let Some(session) = self.sessions.get(id).copied() else { return false };
        let listener = session.conn.and_then(|conn| self.peers.get(&conn)?.listener);
        let case = Case { now, what: What::Expiry, session: Some(id), conn: session.conn, listener };
        let Some(fired) = self.faults.fire(case) else { return false };
        self.record_fault(fired);
        match fired.then {
            Then::HoldEphemerals(by) if !by.is_zero() => {
                // The history of the nodes tells of it when they go.
                self.record_end(now, id, reason, self.last_zxid);
                self.sessions.remove(id);
                let (timeout, until) = (session.timeout, after(now, by));
                self.held.add(id, HeldSession { timeout, until });
                true
            }
            _ => false,
        }
    }

    /// Ends the holds whose time has come, as far as there is `room`: each session in the one transaction that would
    /// have been due when it expired.
    pub(crate) fn end_holds(&mut self, now: Now, room: &mut usize) {
        while *room > 0
            && let Some(id) = self.held.pop_due(now.mono)
        {
            *room = room.saturating_sub(1 + self.tree.ephemerals_of(id));
            self.end_session(now, id, Xid(0), EndReason::Expired);
        }
    }
}
