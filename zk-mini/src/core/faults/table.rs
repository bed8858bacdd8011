//! Table of rules: the decision which rule fires, and the record of those that did.

use std::collections::VecDeque;

use zk_wire::OpCode;

use crate::core::faults::case::{Case, What};
use crate::core::faults::error::RuleError;
use crate::core::faults::hit::{FaultId, FaultInfo, FaultState, Hit};
use crate::core::faults::on::CaseKind;
use crate::core::faults::rule::Rule;
use crate::core::faults::then::Then;

/// Maximum number of rules. Each costs time for every request.
const MAX_RULES: usize = 10_000;

/// Number of hits that are kept for each rule, the latest ones.
const KEPT_HITS: usize = 100;

/// Rules in the order of adding.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    rules: Vec<Entry>,
    /// Removed rules whose record is still read.
    retired: Vec<Entry>,
    /// Number of rules for events.
    of_events: usize,
    given: u64,
    /// Number of times that rules have fired, also those that are gone.
    fired: u64,
    /// `true` if a rule has fired, was removed, or was used up, since this was last asked.
    news: bool,
}

/// A rule and its counts.
#[derive(Debug)]
struct Entry {
    id: FaultId,
    rule: Rule,
    /// Index of the listening address in the rule's condition.
    listener: Option<usize>,
    /// Keeps the record after the removal of the rule, until it is forgotten.
    guarded: bool,
    chance: Option<fastrand::Rng>,
    matched: u64,
    fired: u64,
    hits: VecDeque<Hit>,
}

/// Rule that has fired.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Fired {
    pub(crate) id: FaultId,
    pub(crate) then: Then,
    /// `true` if the rule is about re-attaches.
    pub(crate) of_reattach: bool,
}

impl Faults {
    /// Returns `true` without any rule.
    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Returns `true` if there are rules for events.
    pub(crate) fn are_of_events(&self) -> bool {
        self.of_events > 0
    }

    /// Adds a rule behind the others. `listener` is the index of the listening address in its condition.
    pub(crate) fn add(
        &mut self,
        rule: Rule,
        listener: Option<usize>,
        guarded: bool,
    ) -> Result<FaultId, RuleError> {
        if self.rules.len() >= MAX_RULES {
            return Err(RuleError::TooMany(MAX_RULES));
        }
        self.given += 1;
        let id = FaultId(self.given);
        self.of_events += usize::from(matches!(rule.on().kind, CaseKind::Event(_)));
        let chance = rule.on().probability.map(|(_, seed)| fastrand::Rng::with_seed(seed));
        let (matched, fired, hits) = (0, 0, VecDeque::new());
        self.rules.push(Entry { id, rule, listener, guarded, chance, matched, fired, hits });
        Ok(id)
    }

    /// Removes a rule. Returns `false` if there is none with this id.
    pub(crate) fn remove(&mut self, id: FaultId) -> bool {
        let Some(at) = self.rules.iter().position(|entry| entry.id == id) else { return false };
        let entry = self.rules.remove(at);
        self.of_events -= usize::from(matches!(entry.rule.on().kind, CaseKind::Event(_)));
        if entry.guarded {
            self.retired.push(entry);
        }
        self.news = true;
        true
    }

    /// Forgets the record of a removed rule.
    pub(crate) fn forget(&mut self, id: FaultId) {
        self.retired.retain(|entry| entry.id != id);
    }

    /// Makes a rule outlive its guard.
    pub(crate) fn keep(&mut self, id: FaultId) {
        self.retired.retain(|entry| entry.id != id);
        if let Some(entry) = self.rules.iter_mut().find(|entry| entry.id == id) {
            entry.guarded = false;
        }
    }

    pub(crate) fn ids(&self) -> Vec<FaultId> {
        self.rules.iter().map(|entry| entry.id).collect()
    }

    pub(crate) fn infos(&self) -> Vec<FaultInfo> {
        self.rules.iter().map(Entry::info).collect()
    }

    /// Returns a rule, also a removed one whose record is kept.
    pub(crate) fn info(&self, id: FaultId) -> Option<FaultInfo> {
        let retired = self.retired.iter().find(|entry| entry.id == id);
        let retired = retired.map(|entry| FaultInfo { state: FaultState::Removed, ..entry.info() });
        retired.or_else(|| self.entry(id).map(Entry::info))
    }

    /// Returns the latest hits of a rule, in order.
    pub(crate) fn hits(&self, id: FaultId) -> impl Iterator<Item = &Hit> {
        self.entry(id).into_iter().flat_map(|entry| &entry.hits)
    }

    fn entry(&self, id: FaultId) -> Option<&Entry> {
        self.rules.iter().chain(&self.retired).find(|entry| entry.id == id)
    }

    /// Returns the number of rules, and how often any have fired.
    pub(crate) fn totals(&self) -> (usize, u64) {
        (self.rules.len(), self.fired)
    }

    /// Returns `true` if a rule has fired, was removed, or was used up, since the last call.
    pub(crate) fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }

    /// Shows a case to the rules, in order, until one fires.
    #[cold]
    pub(crate) fn fire(&mut self, case: Case<'_>) -> Option<Fired> {
        for entry in &mut self.rules {
            let Some(path) = entry.matches(&case) else { continue };
            if entry.counts() {
                entry.hit(&case, path);
                (self.news, self.fired) = (true, self.fired + 1);
                let of_reattach = entry.rule.on().kind == CaseKind::Reattach;
                return Some(Fired { id: entry.id, then: entry.rule.then(), of_reattach });
            }
            // Chance has used it up: those who wait for it wait in vain.
            self.news |= entry.is_spent();
        }
        None
    }
}

impl Entry {
    /// Returns `None` if the rule is not about this case; otherwise the path that it is about, if there is one.
    fn matches<'a>(&self, case: &Case<'a>) -> Option<Option<&'a str>> {
        let on = self.rule.on();
        let is_narrowed_to = on.session.is_none_or(|id| case.session == Some(id))
            && on.connection.is_none_or(|id| case.conn == Some(id))
            && on.listener.is_none_or(|_| case.listener == self.listener);
        if !is_narrowed_to {
            return None;
        }
        let glob = self.rule.glob();
        match (&on.kind, case.what) {
            (CaseKind::AnyRequest, What::Request { request, .. }) => match glob {
                None if request.op == OpCode::PING => None,
                None => Some(request.first_path()),
                Some(glob) => request.path_where(|_, path| glob.matches(path)).map(Some),
            },
            (CaseKind::Request(ops), What::Request { request, .. }) => {
                let is_meant = |op| ops.iter().any(|meant| stands_for(*meant, op));
                let as_whole = is_meant(request.op);
                match glob {
                    Some(glob) => request
                        .path_where(|op, path| (as_whole || is_meant(op)) && glob.matches(path))
                        .map(Some),
                    None if as_whole => Some(request.first_path()),
                    None => request.path_where(|op, _| is_meant(op)).map(Some),
                }
            }
            (CaseKind::Event(kind), What::Event { kind: told, path }) => {
                let is_meant = kind.is_none_or(|kind| kind == told);
                (is_meant && glob.is_none_or(|glob| glob.matches(path))).then_some(Some(path))
            }
            (CaseKind::Connect, What::Handshake) | (CaseKind::Expiry, What::Expiry) => Some(None),
            (CaseKind::Reattach, What::Handshake) => case.session.is_some().then_some(None),
            (CaseKind::Request(ops), What::Handshake) => {
                (case.session.is_none() && ops.contains(&OpCode::CREATE_SESSION) && glob.is_none())
                    .then_some(None)
            }
            _ => None,
        }
    }

    /// Counts a case, and decides if the rule fires.
    fn counts(&mut self) -> bool {
        self.matched = self.matched.saturating_add(1);
        let on = self.rule.on();
        let is_due = match (on.nth, on.every) {
            (None, None) => true,
            (Some(nth), None) => self.matched == nth,
            (None, Some(every)) => self.matched.is_multiple_of(every),
            (Some(nth), Some(every)) => {
                self.matched.checked_sub(nth).is_some_and(|past| past.is_multiple_of(every))
            }
        };
        if !is_due || on.times.is_some_and(|times| self.fired >= times) {
            return false;
        }
        match (&mut self.chance, on.probability) {
            (Some(chance), Some((p, _))) => chance.f64() < p,
            _ => true,
        }
    }

    /// Returns `true` if the rule can never fire again.
    fn is_spent(&self) -> bool {
        let on = self.rule.on();
        let is_past = on.nth.is_some_and(|nth| on.every.is_none() && self.matched >= nth);
        is_past || on.times.is_some_and(|times| self.fired >= times)
    }

    fn hit(&mut self, case: &Case<'_>, path: Option<&str>) {
        self.fired += 1;
        if self.hits.len() == KEPT_HITS {
            self.hits.pop_front();
        }
        self.hits.push_back(Hit::new(self.fired, case, path));
    }

    fn info(&self) -> FaultInfo {
        let (rule, matched, fired) = (self.rule.clone(), self.matched, self.fired);
        let state = if self.is_spent() { FaultState::UsedUp } else { FaultState::Active };
        FaultInfo { id: self.id, rule, matched, fired, state }
    }
}

/// Returns `true` if a rule about the operation `meant` is about `op`, too.
fn stands_for(meant: OpCode, op: OpCode) -> bool {
    meant == op
        || match meant {
            OpCode::CREATE => {
                matches!(op, OpCode::CREATE2 | OpCode::CREATE_CONTAINER | OpCode::CREATE_TTL)
            }
            OpCode::GET_CHILDREN => op == OpCode::GET_CHILDREN2,
            OpCode::SET_WATCHES => op == OpCode::SET_WATCHES2,
            _ => false,
        }
}
