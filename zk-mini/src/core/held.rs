//! Sessions that have ended and whose nodes stay for a time: until a fault rule's hold is over, or, if a session has very
//! many, until their turn comes.

use std::collections::{BTreeMap, BTreeSet};

use zk_wire::{ByteString, Millis, SessionId, Xid};

use crate::core::history::{Cause, EndReason};
use crate::core::message::{Note, Now};
use crate::core::requests::Class;
use crate::core::requests::call::{Call, Failure, Reply};
use crate::core::session::Sessions;
use crate::core::size::MultiSize;
use crate::core::txn::Change;
use crate::core::{Core, STEP};

/// Sessions that have ended without a transaction. They are gone for every client; the transaction that ends them, and
/// deletes their nodes, comes later. Until then a log and an image have them as living sessions, so after a loss of the
/// memory they get their full timeout once more. A session whose nodes go in steps may then live on without those of the first
/// steps: its client, if it comes back in that time, does not hear of it.
#[derive(Debug, Default)]
pub(crate) struct HeldSessions {
    by_id: BTreeMap<SessionId, HeldSession>,
    due: BTreeSet<(Millis, SessionId)>,
    /// Number of those that wait for their turn only.
    leaving: usize,
}

#[derive(Clone, Copy, Debug)]
struct HeldSession {
    /// Timeout of its creation.
    timeout: Millis,
    until: Millis,
    /// End of a session that waits for its turn only.
    leaves: Option<Leave>,
}

/// End of a session whose nodes go in steps.
#[derive(Clone, Copy, Debug)]
struct Leave {
    /// Time of the end.
    at: Now,
    /// Request of its client, which is answered when all nodes are gone.
    call: Option<Call>,
}

impl HeldSessions {
    /// Returns `true` for a session that waits for its turn only.
    fn leaves(&self, id: SessionId) -> bool {
        self.by_id.get(&id).is_some_and(|held| held.leaves.is_some())
    }

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
        self.leaving = self.by_id.values().filter(|held| held.leaves.is_some()).count();
    }

    /// Adds a session whose nodes stay until a time.
    pub(crate) fn hold(&mut self, id: SessionId, timeout: Millis, until: Millis) {
        self.add(id, HeldSession { timeout, until, leaves: None });
    }

    fn add(&mut self, id: SessionId, held: HeldSession) {
        self.by_id.insert(id, held);
        self.due.insert((held.until, id));
        self.leaving += usize::from(held.leaves.is_some());
    }

    /// Returns the session whose hold has ended first, by `now`.
    fn first_due(&self, now: Millis) -> Option<SessionId> {
        self.due.first().filter(|(at, _)| *at <= now).map(|(_, id)| *id)
    }

    fn remove(&mut self, id: SessionId) -> Option<HeldSession> {
        let held = self.by_id.remove(&id)?;
        self.due.remove(&(held.until, id));
        self.leaving -= usize::from(held.leaves.is_some());
        Some(held)
    }

    /// Returns the time of the first end of a session that waits for its turn only.
    fn leaving_since(&self) -> Option<Now> {
        if self.leaving == 0 {
            return None;
        }
        self.due.iter().find_map(|(_, id)| self.by_id.get(id)?.leaves).map(|leave| leave.at)
    }
}

impl Core {
    /// Returns `true` if a session has so many ephemeral nodes that they are deleted in steps, between which other clients
    /// are served.
    pub(crate) fn goes_in_steps(&self, id: SessionId) -> bool {
        // Servers of an ensemble hear of an end by one transaction, and answer when they have it.
        self.ensemble.is_none() && self.tree.ephemerals_of(id) > STEP
    }

    /// Ends a session whose nodes are deleted in steps from now on. A `call` of its client is answered after the last one.
    pub(crate) fn leave(&mut self, now: Now, id: SessionId, reason: EndReason, call: Option<Call>) {
        self.record_end(now, id, reason, self.next_zxid());
        if let Some(session) = self.sessions.remove(id) {
            let leaves = Some(Leave { at: now, call });
            self.held.add(id, HeldSession { timeout: session.timeout, until: now.mono, leaves });
        }
    }

    /// Fails with [`Failure::Later`] if a session's nodes are being deleted in steps: the end of them is its last answer.
    #[cold]
    pub(crate) fn check_leaving(&self, id: SessionId) -> Result<(), Failure> {
        let leaves = self.held.by_id.get(&id).is_some_and(|held| held.leaves.is_some());
        if leaves { Err(Failure::Later) } else { Ok(()) }
    }

    /// Returns `true` if [`leave_on`](Self::leave_on) has something to do.
    pub(crate) fn has_leaving(&self) -> bool {
        self.held.leaving > 0 && !self.is_stalled() && !self.is_still()
    }

    /// Deletes nodes of sessions that leave, as far as there is `room`. Their turn comes by the time, too; a clock that is
    /// held does not hold them up.
    pub(crate) fn leave_on(&mut self, room: &mut usize) {
        if self.has_leaving()
            && let Some(at) = self.held.leaving_since()
        {
            self.end_holds(at, room);
        }
    }

    /// Ends the holds whose time has come, as far as there is `room`: each session in the one transaction that would
    /// have been due when it ended, unless its nodes go in steps.
    pub(crate) fn end_holds(&mut self, now: Now, room: &mut usize) {
        while *room > 0
            && let Some(id) = self.held.first_due(now.mono)
        {
            // Those that a rule holds go in one transaction, as it says.
            if self.held.leaves(id) && self.goes_in_steps(id) && self.delete_some(now, id, room) {
                continue;
            }
            let call = self.held.remove(id).and_then(|held| held.leaves?.call);
            *room = room.saturating_sub(1 + self.tree.ephemerals_of(id));
            let xid = call.map_or(Xid(0), |call| call.xid);
            self.end_session(now, id, xid, EndReason::Expired);
            if let Some(call) = call.filter(|call| self.knows(call.conn)) {
                self.note(Note::Closed { conn: call.conn, session: id });
                self.answer(&call, Class::Session, Ok(Reply::Last));
            }
        }
    }

    /// Deletes the first nodes of a session, as many as there is `room` for, in one transaction. Returns `false` if no
    /// transaction can have any of them.
    fn delete_some(&mut self, now: Now, id: SessionId, room: &mut usize) -> bool {
        let mut size = MultiSize::new();
        let paths: Vec<ByteString> =
            self.tree.ephemerals_with_prefix(id, "").take(*room).map(ByteString::from).collect();
        let audited = if self.config.audit { paths.clone() } else { Vec::new() };
        let deletes = paths.into_iter().map(|path| Change::Delete { path });
        let deletes: Vec<_> = deletes.take_while(|change| size.add(change, &self.config)).collect();
        let count = deletes.len();
        if count > 0 {
            *room -= count;
            self.commit(now, id, Xid(0), Cause::SessionEnd, Change::Multi(deletes));
            self.audit_ephemerals(now.wall, id, audited.into_iter().take(count).collect());
        }
        count > 0
    }
}
