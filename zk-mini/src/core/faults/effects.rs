//! Rules of a core: adding and removing them, and asking them at each moment.

use bytes::Bytes;
use zk_wire::{ConnectRequest, Decode, EventType, Fields, SessionId, Zxid};

use crate::core::Core;
use crate::core::faults::case::{Case, What};
use crate::core::faults::error::RuleError;
use crate::core::faults::fate::{EventFate, after};
use crate::core::faults::hit::{FaultId, FaultInfo, Hit};
use crate::core::faults::request::RequestInfo;
use crate::core::faults::rule::Rule;
use crate::core::faults::table::{Faults, Fired};
use crate::core::faults::then::Then;
use crate::core::history::{EndReason, Recorder};
use crate::core::message::{ConnId, Now};
use crate::core::peers::PeerState;
use crate::core::requests::call::Call;

impl Core {
    /// Adds a fault rule behind the others. `listener` is the index of the listening address in its condition, as in
    /// [`Input::Accepted`](crate::core::Input::Accepted).
    ///
    /// # Errors
    /// [`RuleError::TooMany`].
    ///
    /// ```
    /// use zk_mini::core::{Config, Core, Now};
    /// use zk_mini::{On, Rule, Then};
    ///
    /// let mut core = Core::new(Config::default());
    /// let id = core.add_fault(Rule::new(On::connect(), Then::refuse())?, None)?;
    /// assert_eq!(core.faults().len(), 1);
    /// assert!(core.remove_fault(Now::default(), id));
    /// # Ok::<(), zk_mini::RuleError>(())
    /// ```
    pub fn add_fault(&mut self, rule: Rule, listener: Option<usize>) -> Result<FaultId, RuleError> {
        self.faults.add(rule, listener, false)
    }

    /// Removes a rule, and makes connections fast again that it has slowed down. Returns `false` if there is none with
    /// this id. Drain the outputs afterwards.
    pub fn remove_fault(&mut self, now: Now, id: FaultId) -> bool {
        let is_removed = self.faults.remove(id);
        if is_removed {
            self.end_links(now, id);
        }
        is_removed
    }

    /// Returns the rules, in the order in which they were added.
    #[must_use]
    pub fn faults(&self) -> Vec<FaultInfo> {
        self.faults.infos()
    }

    /// Returns the number of rules, and how often any have fired.
    pub(crate) fn fault_totals(&self) -> (usize, u64) {
        self.faults.totals()
    }

    /// Returns the latest hits of a rule, at most a hundred, in order.
    #[must_use]
    pub fn fault_hits(&self, id: FaultId) -> Vec<Hit> {
        self.faults.hits(id).cloned().collect()
    }

    /// Returns a rule, also a removed one whose guard is alive.
    pub(crate) fn fault(&self, id: FaultId) -> Option<FaultInfo> {
        self.faults.info(id)
    }

    /// Returns the nth hit of a rule; the oldest one that is kept, if that is later.
    pub(crate) fn fault_hit(&self, id: FaultId, n: u64) -> Option<Hit> {
        self.faults.hits(id).find(|hit| hit.number >= n).cloned()
    }

    /// Adds a rule whose record stays until it is [forgotten](Self::forget_fault) or [kept](Self::keep_fault).
    pub(crate) fn add_guarded_fault(
        &mut self,
        rule: Rule,
        listener: Option<usize>,
    ) -> Result<FaultId, RuleError> {
        self.faults.add(rule, listener, true)
    }

    /// Removes a rule and its record.
    pub(crate) fn forget_fault(&mut self, now: Now, id: FaultId) {
        self.remove_fault(now, id);
        self.faults.forget(id);
    }

    /// Drops the record of a rule when the rule is removed.
    pub(crate) fn keep_fault(&mut self, id: FaultId) {
        self.faults.keep(id);
    }

    /// Removes all rules.
    pub(crate) fn remove_faults(&mut self, now: Now) {
        for id in self.faults.ids() {
            self.remove_fault(now, id);
        }
    }

    /// Returns `true` if a rule has fired, or was removed, since the last call.
    pub(crate) fn take_fault_news(&mut self) -> bool {
        self.faults.take_news()
    }

    /// Shows a request to the rules.
    #[cold]
    pub(crate) fn fault_of_request(&mut self, call: &Call, body: Fields<'_>) -> Option<Fired> {
        let request = RequestInfo::read(call.op, body);
        let case = Case {
            now: call.now,
            what: What::Request { xid: call.xid, request: &request },
            session: Some(call.session),
            conn: Some(call.conn),
            listener: self.peers.get(call.conn).and_then(|peer| peer.listener),
        };
        let fired = self.faults.fire(case)?;
        self.record_fault(fired);
        Some(fired)
    }

    /// Records a rule that has fired.
    pub(crate) fn record_fault(&mut self, fired: Fired) {
        if self.history.is_on()
            && let Some(hit) = self.faults.hits(fired.id).last()
        {
            self.history.fault(self.last_zxid, fired.id, hit, fired.then);
        }
    }

    /// Shows an expiry to the rules. If one of them holds the nodes, ends the session without a transaction and returns
    /// `true`.
    #[cold]
    pub(crate) fn holds_nodes_of(&mut self, now: Now, id: SessionId, reason: EndReason) -> bool {
        let Some(session) = self.sessions.get(id).copied() else { return false };
        let listener = session.conn.and_then(|conn| self.peers.get(conn)?.listener);
        let case = Case { now, what: What::Expiry, session: Some(id), conn: session.conn, listener };
        let Some(fired) = self.faults.fire(case) else { return false };
        self.record_fault(fired);
        match fired.then {
            Then::HoldEphemerals(by) if !by.is_zero() => {
                // The history of the nodes tells of it when they go.
                self.record_end(now, id, reason, self.last_zxid);
                self.sessions.remove(id);
                self.held.hold(id, session.timeout, after(now, by));
                true
            }
            _ => false,
        }
    }

    /// Shows a handshake to the rules. One that cannot be read is not shown.
    #[cold]
    pub(crate) fn fault_of_handshake(
        &mut self,
        now: Now,
        conn: ConnId,
        frame: &Bytes,
    ) -> Option<(Fired, SessionId)> {
        let request = ConnectRequest::decode(&mut frame.clone(), "ConnectRequest").ok()?;
        let named = request.session_id;
        let peer = self.peers.get_mut(conn)?;
        peer.knows_read_only = request.read_only.is_some();
        let case = Case {
            now,
            what: What::Handshake,
            session: Some(named).filter(|id| *id != SessionId::NONE),
            conn: Some(conn),
            listener: peer.listener,
        };
        let fired = self.faults.fire(case)?;
        self.record_fault(fired);
        Some((fired, named))
    }
}

impl Faults {
    /// Shows an event for a connection to the rules.
    #[cold]
    pub(crate) fn fate_of_event(
        &mut self,
        now: Now,
        (conn, peer): (ConnId, Option<&PeerState>),
        (kind, path): (EventType, &str),
        zxid: Zxid,
        history: &mut Recorder,
    ) -> EventFate {
        let case = Case {
            now,
            what: What::Event { kind, path },
            session: peer.and_then(PeerState::session),
            conn: Some(conn),
            listener: peer.and_then(|peer| peer.listener),
        };
        let Some(fired) = self.fire(case) else { return EventFate::Sent };
        if history.is_on()
            && let Some(hit) = self.hits(fired.id).last()
        {
            history.fault(zxid, fired.id, hit, fired.then);
        }
        match fired.then {
            Then::DropEvent => EventFate::Dropped,
            Then::Delay(by) if !by.is_zero() => EventFate::Delayed(after(now, by)),
            _ => EventFate::Sent,
        }
    }
}
