//! The members of a service, as a state machine: what was listed and read goes in, what to list and read next and
//! the members come out. It knows no connection, clock or task.
//!
//! - A node's data is read when its name is new, and again when its watch tells that it changed. So a member that
//!   comes costs one list and one read, one that changes one read, one that goes one list.
//! - The next list waits until everything that the last one brought has been read: members are published between
//!   two lists, however fast they change.
//! - A node that cannot be read, or that is no instance and is not watched, is read again by and by: nothing tells
//!   when it can be.
//! - Without a connection the last members stay, marked stale, until a list is answered again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use zk_wire::Millis;

use crate::backoff::Backoff;
use crate::instance::Instance;
use crate::members::{InstanceId, Members, SkipReason, Skipped};

/// What happened.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// There is a connection.
    Connected,
    /// There is none.
    Disconnected,
    /// The list that was asked for, with a watch on it; empty if the service has no node. `None`: try again.
    Listed(Option<Vec<String>>),
    /// The watch on the list told something, or was lost.
    ListChanged,
    /// The read that was asked for with this number is over.
    Read { id: InstanceId, read: ReadId, outcome: Outcome },
    /// The watch on a node told of new data, or was lost.
    NodeChanged(InstanceId),
    /// The watch on a node told that it was deleted.
    NodeDeleted(InstanceId),
    /// The deadline has come.
    Timeout,
}

/// Tells the reads of one node apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ReadId(u64);

/// How a read ended.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// The node's data; its watch is set.
    Data(Bytes),
    /// There is no such node any more.
    Gone,
    /// We may not read it.
    Unreadable(String),
    /// It cannot be read now: what is known of it stays.
    Deferred(String),
    /// There was no answer. Try again.
    Failed,
}

/// What to do; any number of them at a time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    /// List the service's nodes, with a watch.
    List,
    /// Read a node, with a watch.
    Read { id: InstanceId, read: ReadId },
}

/// The state machine.
#[derive(Debug)]
pub(crate) struct Core {
    most_reads: usize,
    /// True if what is read is watched from then on.
    watched: bool,
    empty_after: Millis,
    connected: bool,
    list: List,
    /// Whether a list was answered since there is a connection.
    confirmed: bool,
    entries: BTreeMap<InstanceId, Entry>,
    /// Nodes to read; some may be gone by the time it is their turn.
    queue: VecDeque<InstanceId>,
    /// Times at which to read those again that could not be used.
    retries: BTreeSet<(Millis, InstanceId)>,
    reads: usize,
    next_read: u64,
    /// How many entries have never been read.
    unread: usize,
    /// Whether the entries may differ from what was published.
    changed: bool,
    /// When the members become empty, if they are held although all are gone.
    empty_at: Option<Millis>,
    published: Option<Arc<Members>>,
    not_before: Option<Millis>,
    backoff: Backoff,
    chance: fastrand::Rng,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum List {
    Wanted,
    /// Whether another is wanted after it, and whether it was asked for over the present connection.
    InFlight {
        again: bool,
        current: bool,
    },
    Known,
}

#[derive(Debug)]
struct Entry {
    value: Option<Result<Arc<Instance>, SkipReason>>,
    reading: Reading,
    retry: Option<Box<Retry>>,
}

/// Of a node that could not be used.
#[derive(Debug)]
struct Retry {
    backoff: Backoff,
    at: Millis,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Reading {
    No,
    Queued,
    InFlight { read: ReadId, again: bool },
}

impl Core {
    pub(crate) fn new(seed: u64, most_reads: usize, watched: bool, empty_after: Millis) -> Self {
        Self {
            most_reads: most_reads.max(1),
            watched,
            empty_after,
            connected: false,
            list: List::Wanted,
            confirmed: false,
            entries: BTreeMap::new(),
            queue: VecDeque::new(),
            retries: BTreeSet::new(),
            reads: 0,
            next_read: 0,
            unread: 0,
            changed: false,
            empty_at: None,
            published: None,
            not_before: None,
            backoff: Backoff::new(seed),
            // Another stream than the backoff's, which draws from the same seed.
            chance: fastrand::Rng::with_seed(!seed),
        }
    }

    /// Takes an input. Then `poll_step` until there is none, and `poll_members` when no more inputs wait.
    pub(crate) fn handle(&mut self, now: Millis, input: Input) {
        match input {
            Input::Connected => {
                self.connected = true;
                self.not_before = None;
                self.backoff.reset();
                self.outlive_list();
                // What the watches missed they tell, but not when they have told everything: the answer to a
                // list does.
                self.want_list();
            }
            Input::Disconnected => {
                self.connected = false;
                self.confirmed = false;
                self.outlive_list();
            }
            Input::Listed(Some(names)) => self.listed(names),
            Input::Listed(None) => {
                self.list = List::Wanted;
                self.try_later(now);
            }
            Input::ListChanged => self.want_list(),
            Input::Read { id, read, outcome } => {
                self.reads -= 1;
                self.read(now, id, read, outcome);
            }
            Input::NodeChanged(id) => self.want_read(id),
            Input::NodeDeleted(id) => {
                // There may be a new node of that name already, and the list that says so be known already.
                if self.remove(&id) {
                    self.want_list();
                }
            }
            Input::Timeout => self.not_before = self.not_before.filter(|&at| at > now),
        }
        while self.retries.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, id)) = self.retries.pop_first() else { break };
            self.want_read(id);
        }
    }

    /// The next thing to do, if there is one.
    #[must_use]
    pub(crate) fn poll_step(&mut self) -> Option<Step> {
        if !self.connected || self.not_before.is_some() {
            return None;
        }
        while self.reads < self.most_reads {
            let Some(id) = self.queue.pop_front() else { break };
            if let Some(entry) = self.entries.get_mut(&id).filter(|entry| entry.reading == Reading::Queued) {
                let read = ReadId(self.next_read);
                self.next_read += 1;
                self.reads += 1;
                entry.reading = Reading::InFlight { read, again: false };
                return Some(Step::Read { id, read });
            }
        }
        if self.list == List::Wanted && self.unread == 0 {
            self.list = List::InFlight { again: false, current: true };
            return Some(Step::List);
        }
        None
    }

    /// When [`Input::Timeout`] is wanted.
    #[must_use]
    pub(crate) fn poll_deadline(&self) -> Option<Millis> {
        let retry = self.not_before.filter(|_| self.connected);
        let again = self.retries.first().map(|(at, _)| *at);
        retry.into_iter().chain(self.empty_at).chain(again).min()
    }

    /// The members, if they are known and others than before.
    #[must_use]
    pub(crate) fn poll_members(&mut self, now: Millis) -> Option<Arc<Members>> {
        let settled = self.settle(now);
        let stale = !self.confirmed || self.empty_at.is_some();
        let members = match (settled, &self.published) {
            (Some(members), _) => Members { stale, ..members },
            (None, Some(last)) if last.stale != stale => Members { stale, ..(**last).clone() },
            (None, _) => return None,
        };
        if self.published.as_deref() == Some(&members) {
            return None;
        }
        self.published = Some(Arc::new(members));
        self.published.clone()
    }

    /// The members anew, if they may have changed and everything has been read.
    fn settle(&mut self, now: Millis) -> Option<Members> {
        let due = self.empty_at.is_some_and(|at| at <= now);
        if self.unread > 0 || !(self.changed || due) {
            return None;
        }
        self.changed = false;
        let mut members = self.derive();
        match &self.published {
            Some(last) if members.is_empty() && !last.is_empty() && !due && self.empty_after > Millis(0) => {
                self.empty_at.get_or_insert(now + self.empty_after);
                members.instances = last.instances.clone();
            }
            _ => self.empty_at = None,
        }
        Some(members)
    }

    fn derive(&self) -> Members {
        let mut members = Members::default();
        for (id, entry) in &self.entries {
            match &entry.value {
                Some(Ok(instance)) => {
                    members.instances.insert(id.clone(), instance.clone());
                }
                Some(Err(reason)) => {
                    members.skipped.push(Skipped { id: id.clone(), reason: reason.clone() });
                }
                None => {}
            }
        }
        members
    }

    fn listed(&mut self, mut names: Vec<String>) {
        if let List::InFlight { again, current } = self.list {
            self.list = if again { List::Wanted } else { List::Known };
            self.confirmed |= current;
        }
        self.changed |= self.published.is_none();
        self.backoff.reset();
        names.sort_unstable();
        let is_listed =
            |id: &InstanceId| names.binary_search_by(|name| name.as_str().cmp(id.as_str())).is_ok();
        let gone: Vec<_> = self.entries.keys().filter(|id| !is_listed(id)).cloned().collect();
        for id in &gone {
            self.remove(id);
        }
        for name in &names {
            let id = InstanceId::from(name.as_str());
            if !self.entries.contains_key(&id) {
                self.entries.insert(id.clone(), Entry { value: None, reading: Reading::Queued, retry: None });
                self.unread += 1;
                self.queue.push_back(id);
            }
        }
    }

    fn read(&mut self, now: Millis, id: InstanceId, of: ReadId, outcome: Outcome) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let Reading::InFlight { read, again } = entry.reading else { return };
        if read != of {
            return;
        }
        entry.reading = Reading::No;
        let is_answered = matches!(outcome, Outcome::Data(_));
        let value = match outcome {
            Outcome::Data(data) => Instance::from_json(&data).map(Arc::new).map_err(SkipReason::from),
            Outcome::Unreadable(why) => Err(SkipReason::Unreadable(why)),
            Outcome::Deferred(why) => entry.value.clone().unwrap_or(Err(SkipReason::Unreadable(why))),
            // Deleted between the list and the read: the watch on the list tells of it, too.
            Outcome::Gone => {
                self.remove(&id);
                return;
            }
            Outcome::Failed => {
                entry.reading = Reading::Queued;
                self.queue.push_back(id);
                self.try_later(now);
                return;
            }
        };
        if entry.value.is_none() {
            self.unread -= 1;
        }
        let before = entry.retry.take();
        if let Some(before) = &before {
            self.retries.remove(&(before.at, id.clone()));
        }
        // A watch tells when there is something better, but one that is set needs an answer.
        if !is_answered || (value.is_err() && !self.watched) {
            let backoff = before.map(|before| before.backoff);
            let mut backoff = backoff.unwrap_or_else(|| Backoff::patient(self.chance.u64(..)));
            let at = backoff.next(now);
            self.retries.insert((at, id.clone()));
            entry.retry = Some(Box::new(Retry { backoff, at }));
        }
        if entry.value.as_ref() != Some(&value) {
            entry.value = Some(value);
            self.changed = true;
        }
        if again {
            self.want_read(id);
        }
    }

    /// Whether it was there.
    fn remove(&mut self, id: &InstanceId) -> bool {
        let Some(entry) = self.entries.remove(id) else { return false };
        if entry.value.is_none() {
            self.unread -= 1;
        }
        if let Some(retry) = entry.retry {
            self.retries.remove(&(retry.at, id.clone()));
        }
        self.changed = true;
        true
    }

    fn want_list(&mut self) {
        match &mut self.list {
            List::InFlight { again, .. } => *again = true,
            list => *list = List::Wanted,
        }
    }

    /// The connection is another one than that of the list under way, if there is one.
    fn outlive_list(&mut self) {
        if let List::InFlight { current, .. } = &mut self.list {
            *current = false;
        }
    }

    fn want_read(&mut self, id: InstanceId) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        match &mut entry.reading {
            Reading::Queued => {}
            Reading::InFlight { again, .. } => *again = true,
            reading @ Reading::No => {
                *reading = Reading::Queued;
                self.queue.push_back(id);
            }
        }
    }

    fn try_later(&mut self, now: Millis) {
        // Many reads fail together with their connection; that is one failure.
        if self.not_before.is_none() {
            let at = self.backoff.next(now);
            self.not_before = (at > now).then_some(at);
        }
    }
}

#[cfg(test)]
mod tests;
