//! Members of a service, as a state machine: lists and data of nodes go in, the next lists and reads and the members come
//! out. It knows no connection, clock or task.
//!
//! - A node's data is read when its name is new, and again when its watch fires. A member that comes costs one list and
//!   one read, one that changes costs one read, one that goes costs one list.
//! - The next list waits until all nodes of the last one have been read. So members are published between two lists,
//!   however fast they change.
//! - A node that cannot be read, or that is no instance and is not watched, is read again after a pause, because no event
//!   will tell of it.
//! - Without a connection the last members stay, marked stale, until a list is answered again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use common::Millis;

use crate::instance::{Instance, InstanceError};
use crate::members::{InstanceId, Members, SkipReason, Skipped};
use crate::retry::RetrySchedule;

/// Events that the shell reports.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// A connection exists.
    Connected,
    /// No connection exists.
    Disconnected,
    /// Names of the service's nodes, with a watch on the list; empty if the service has no node. `None` if there was no
    /// answer.
    Listed(Option<Vec<String>>),
    /// The watch on the list fired or was lost.
    ListChanged,
    /// The read of this number is over.
    Read { id: InstanceId, read: ReadId, outcome: ReadOutcome },
    /// The watch on a node told of new data, or was lost.
    NodeChanged(InstanceId),
    /// The watch on a node told that the node was deleted.
    NodeDeleted(InstanceId),
    /// The deadline has come.
    Timeout,
}

/// Number of a read: tells the reads of one node apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ReadId(u64);

/// End of a read.
#[derive(Clone, Debug)]
pub(crate) enum ReadOutcome {
    /// The instance that the node is, or its defect; the watch is set.
    Decoded(Result<Instance, InstanceError>),
    /// The node no longer exists.
    Gone,
    /// The server does not let us read it.
    Unreadable(String),
    /// The server cannot let us read it now: its last value stays.
    Deferred(String),
    /// There was no answer.
    Failed,
}

/// Requests to perform, any number of them at a time, and members to publish.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Output {
    /// List the service's nodes, with a watch.
    List,
    /// Read a node, with a watch.
    Read { id: InstanceId, read: ReadId },
    /// Publish the members: they differ from the last ones.
    Publish(Arc<Members>),
}

/// The state machine.
#[derive(Debug)]
pub(crate) struct Core {
    max_reads: usize,
    /// True if each read leaves a watch on its node.
    watched: bool,
    empty_after: Millis,
    /// Time of the last input.
    now: Millis,
    connected: bool,
    list: ListState,
    /// True if a list was answered over the present connection.
    confirmed: bool,
    entries: BTreeMap<InstanceId, Entry>,
    /// Nodes to read; some may be gone by the time it is their turn.
    queue: VecDeque<InstanceId>,
    /// Times of the next reads of nodes that could not be used.
    retries: BTreeSet<(Millis, InstanceId)>,
    /// Number of reads under way.
    reads: usize,
    next_read: u64,
    /// Number of entries that have never been read.
    unread: usize,
    /// True if the entries may differ from the published members.
    changed: bool,
    /// Time at which the members become empty, while they are held although all are gone.
    empty_at: Option<Millis>,
    published: Option<Arc<Members>>,
    not_before: Option<Millis>,
    schedule: RetrySchedule,
    random: fastrand::Rng,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum ListState {
    Wanted,
    /// `again` if another list is wanted after this one; `current` if it was asked for over the present connection.
    InFlight {
        again: bool,
        current: bool,
    },
    Known,
}

#[derive(Debug)]
struct Entry {
    value: Option<Result<Arc<Instance>, SkipReason>>,
    read: ReadState,
    retry: Option<Box<EntryRetry>>,
}

/// Retry of an entry that could not be used.
#[derive(Debug)]
struct EntryRetry {
    schedule: RetrySchedule,
    at: Millis,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum ReadState {
    Idle,
    Queued,
    InFlight { read: ReadId, again: bool },
}

impl Core {
    pub(crate) fn new(seed: u64, max_reads: usize, watched: bool, empty_after: Millis) -> Self {
        Self {
            max_reads: max_reads.max(1),
            watched,
            empty_after,
            now: Millis(0),
            connected: false,
            list: ListState::Wanted,
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
            schedule: RetrySchedule::new(seed),
            // Another stream than that of the schedule, which draws from the same seed.
            random: fastrand::Rng::with_seed(!seed),
        }
    }

    /// Takes an input. Call [`Self::poll_output`] when no more inputs are ready: inputs that come together make one change
    /// of the members.
    pub(crate) fn handle(&mut self, now: Millis, input: Input) {
        self.now = now;
        match input {
            Input::Connected => {
                self.connected = true;
                self.not_before = None;
                self.schedule.reset();
                self.outlive_list();
                // Watches report what they missed, but not when they are done with it. The answer to a list does.
                self.want_list();
            }
            Input::Disconnected => {
                self.connected = false;
                self.confirmed = false;
                self.outlive_list();
            }
            Input::Listed(Some(names)) => self.listed(names),
            Input::Listed(None) => {
                self.list = ListState::Wanted;
                self.retry_later();
            }
            Input::ListChanged => self.want_list(),
            Input::Read { id, read, outcome } => {
                self.reads -= 1;
                self.read(id, read, outcome);
            }
            Input::NodeChanged(id) => self.want_read(id),
            Input::NodeDeleted(id) => {
                // A new node of that name may exist already, and the last list may have shown it.
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

    /// Returns the next output, if there is one.
    #[must_use]
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.next_request().or_else(|| self.next_members().map(Output::Publish))
    }

    /// Returns the time at which [`Input::Timeout`] is due.
    #[must_use]
    pub(crate) fn poll_deadline(&self) -> Option<Millis> {
        let request = self.not_before.filter(|_| self.connected);
        let retry = self.retries.first().map(|(at, _)| *at);
        request.into_iter().chain(self.empty_at).chain(retry).min()
    }

    fn next_request(&mut self) -> Option<Output> {
        if !self.connected || self.not_before.is_some() {
            return None;
        }
        while self.reads < self.max_reads {
            let Some(id) = self.queue.pop_front() else { break };
            if let Some(entry) = self.entries.get_mut(&id).filter(|entry| entry.read == ReadState::Queued) {
                let read = ReadId(self.next_read);
                self.next_read += 1;
                self.reads += 1;
                entry.read = ReadState::InFlight { read, again: false };
                return Some(Output::Read { id, read });
            }
        }
        if self.list == ListState::Wanted && self.unread == 0 {
            self.list = ListState::InFlight { again: false, current: true };
            return Some(Output::List);
        }
        None
    }

    /// Returns the members, if they are known and differ from the published ones.
    fn next_members(&mut self) -> Option<Arc<Members>> {
        let settled = self.settle();
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

    /// Computes the members, if they may have changed and every entry has been read.
    fn settle(&mut self) -> Option<Members> {
        let is_due = self.empty_at.is_some_and(|at| at <= self.now);
        if self.unread > 0 || !(self.changed || is_due) {
            return None;
        }
        self.changed = false;
        let mut members = self.derive();
        match &self.published {
            Some(last)
                if members.is_empty() && !last.is_empty() && !is_due && self.empty_after > Millis(0) =>
            {
                self.empty_at.get_or_insert(self.now + self.empty_after);
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
        if let ListState::InFlight { again, current } = self.list {
            self.list = if again { ListState::Wanted } else { ListState::Known };
            self.confirmed |= current;
        }
        self.changed |= self.published.is_none();
        self.schedule.reset();
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
                self.entries.insert(id.clone(), Entry { value: None, read: ReadState::Queued, retry: None });
                self.unread += 1;
                self.queue.push_back(id);
            }
        }
    }

    fn read(&mut self, id: InstanceId, of: ReadId, outcome: ReadOutcome) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let ReadState::InFlight { read, again } = entry.read else { return };
        if read != of {
            return;
        }
        entry.read = ReadState::Idle;
        let is_answered = matches!(outcome, ReadOutcome::Decoded(_));
        let value = match outcome {
            ReadOutcome::Decoded(decoded) => decoded.map(Arc::new).map_err(SkipReason::from),
            ReadOutcome::Unreadable(why) => Err(SkipReason::Unreadable(why)),
            ReadOutcome::Deferred(why) => entry.value.clone().unwrap_or(Err(SkipReason::Unreadable(why))),
            // Deleted between the list and the read: the watch on the list will tell of it, too.
            ReadOutcome::Gone => {
                self.remove(&id);
                return;
            }
            ReadOutcome::Failed => {
                entry.read = ReadState::Queued;
                self.queue.push_back(id);
                self.retry_later();
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
        // Only an answer sets a watch, and only a watch tells of better data.
        if !is_answered || (value.is_err() && !self.watched) {
            let schedule = before.map(|before| before.schedule);
            let mut schedule = schedule.unwrap_or_else(|| RetrySchedule::patient(self.random.u64(..)));
            let at = schedule.next(self.now);
            self.retries.insert((at, id.clone()));
            entry.retry = Some(Box::new(EntryRetry { schedule, at }));
        }
        if entry.value.as_ref() != Some(&value) {
            entry.value = Some(value);
            self.changed = true;
        }
        if again {
            self.want_read(id);
        }
    }

    /// Removes an entry. Returns false if there was none.
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
            ListState::InFlight { again, .. } => *again = true,
            list => *list = ListState::Wanted,
        }
    }

    /// Marks a list under way as one of an earlier connection.
    fn outlive_list(&mut self) {
        if let ListState::InFlight { current, .. } = &mut self.list {
            *current = false;
        }
    }

    fn want_read(&mut self, id: InstanceId) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        match &mut entry.read {
            ReadState::Queued => {}
            ReadState::InFlight { again, .. } => *again = true,
            read @ ReadState::Idle => {
                *read = ReadState::Queued;
                self.queue.push_back(id);
            }
        }
    }

    fn retry_later(&mut self) {
        // Many reads fail together with their connection; that is one failure.
        if self.not_before.is_none() {
            let at = self.schedule.next(self.now);
            self.not_before = (at > self.now).then_some(at);
        }
    }
}

#[cfg(test)]
mod tests;
