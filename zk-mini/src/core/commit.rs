//! Transactions: a change gets its number, is applied, and its events are sent.

use zk_wire::{Perms, SessionId, Xid, Zxid};

use crate::core::Core;
use crate::core::apply::{Stamp, apply};
use crate::core::events::Observers;
use crate::core::history::{Cause, Told};
use crate::core::message::{ConnId, Now};
use crate::core::txn::{Change, Txn};

impl Core {
    /// Applies a stored transaction again, without any output. Sessions get their full timeout from `now` on.
    /// Transactions up to the last known one are skipped.
    pub fn replay(&mut self, now: Now, txn: Txn) {
        if txn.zxid <= self.last_zxid {
            return;
        }
        let Txn { zxid, time, session, change, .. } = txn;
        let stamp = Stamp { zxid, time, session, applied: now.mono };
        let Self { tree, sessions, results, changes, .. } = self;
        apply(tree, sessions, stamp, change, &mut Observers::none(), results, changes);
        // Now, because a path in them may keep the whole log in memory.
        self.results.clear();
        self.last_zxid = zxid;
        self.history.forget_past(zxid);
    }

    /// Gives a change its zxid, applies it, and emits the transaction (if configured) and its watch events, as far as
    /// the watchers have access. A watch is used up even if its event is withheld. The results stay in `results` for
    /// the reply.
    pub(crate) fn commit(&mut self, now: Now, session: SessionId, xid: Xid, cause: Cause, change: Change) {
        let zxid = self.next_zxid();
        self.skipped_zxids = 0;
        if matches!(change, Change::CloseSession { ephemerals: None }) {
            self.unlisted = zxid;
        }
        let time = now.wall;
        // `apply` consumes the change.
        let kept = (self.config.transactions || self.ensemble.is_some()).then(|| Txn {
            zxid,
            time,
            session,
            xid,
            change: change.clone(),
            digest: None,
        });
        self.results.clear();
        self.events.clear();
        self.history.now = now.wall;
        let history = self.history.transaction(zxid, session, xid, cause);
        let mut observers =
            Observers::new(&mut self.watches, &mut self.events, &mut self.namespaces, history);
        let Self { tree, sessions, results, changes, .. } = self;
        let stamp = Stamp { zxid, time, session, applied: now.mono };
        apply(tree, sessions, stamp, change, &mut observers, results, changes);
        self.last_zxid = zxid;
        if let Some(txn) = kept {
            self.propose(now, &txn);
            // Before the events: no client may see a change that a crash could lose.
            if self.config.transactions {
                self.outputs.persist(Txn { digest: self.tree.digest(), ..txn });
            }
        }
        self.tell(now, zxid);
    }

    /// Emits the events of the last transaction that was applied.
    #[inline]
    pub(crate) fn tell(&mut self, now: Now, zxid: Zxid) {
        let shown = if self.rules.events_carry_zxid { zxid } else { Zxid(-1) };
        for (event, told) in self.events.iter() {
            let may_know = |conn: &ConnId| {
                let peer = self.peers.get(*conn);
                peer.is_some_and(|peer| {
                    event.acl.check(&peer.requester(&self.config, self.rules), Perms::READ).is_ok()
                })
            };
            let mut listed = Told::default();
            let told = told.iter().copied().filter(may_know);
            if self.faults.are_of_events() {
                for conn in told {
                    let to = (conn, self.peers.get(conn));
                    let what = (event.kind, &*event.path);
                    let fate = self.faults.fate_of_event(now, to, what, zxid, &mut self.history);
                    if self.outputs.event_with_fate(fate, conn, shown, event.kind, &event.path) {
                        listed.add(conn);
                    }
                }
            } else {
                let told = told.inspect(|conn| listed.add(*conn));
                self.outputs.event(told, shown, event.kind, &event.path);
            }
            if listed.count > 0 && self.history.is_on() {
                self.history.event(zxid, event.kind, &event.path, &listed);
            }
        }
    }

    /// Returns the number of the next transaction.
    pub(crate) fn next_zxid(&self) -> Zxid {
        Zxid(self.last_zxid.next().0.wrapping_add(self.skipped_zxids))
    }
}
