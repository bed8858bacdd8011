//! Members of a service, as a state machine: lists and data of nodes go in, the next lists and reads and the members come
//! out. It knows no connection, clock or task.
//!
//! - A node's data is read when its name is new, and again when its watch fires. A member that comes costs one list and
//!   one read, one that changes costs one read, one that goes costs one list.
//! - A deleted node whose name can come again stays a member until a list or a read shows that no other node has taken its
//!   place.
//! - The next list waits until all nodes of the last one have been read. So members are published between two lists,
//!   however fast they change.
//! - A node that cannot be read, or that is no instance and is not watched, is read again after a pause, because no event
//!   will tell of it.
//! - Without a connection the last members stay, marked stale, until a list is answered again.
//! - With a spread the requests for a change wait for a random pause, and those for changes within the pause with them.

mod losses;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use common::Millis;

use crate::instance::{Instance, InstanceError};
use crate::list_state::ListState;
use crate::members::{InstanceId, Members, SkipReason, Skipped};
use crate::retry::RetrySchedule;
use losses::Losses;

pub(crate) use losses::{AT_ONCE, Lost};

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
    /// The servers refuse the list.
    ListRefused,
    /// The watch on the list fired or was lost.
    ListChanged,
    /// The read of this number is over.
    Read { id: InstanceId, read: ReadId, outcome: ReadOutcome },
    /// The watch on a node told of new data, or was lost.
    NodeChanged(InstanceId),
    /// The watch on a node told that the node was deleted.
    NodeDeleted(InstanceId),
    /// The same for a node whose name can come again: it may be a new node by now.
    NodeDeletedOrReplaced(InstanceId),
    /// The deadline has come.
    Timeout,
}

/// Number of a read: tells the reads of one node apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ReadId(u64);

/// End of a read.
#[derive(Clone, Debug)]
pub(crate) enum ReadOutcome {
    /// The instance that the node is, or its defect. `watched` if a better value makes itself known, so that a broken node need
    /// not be read again.
    Decoded { decoded: Result<Instance, InstanceError>, watched: bool },
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
    /// Publish the members: they differ from the last ones. With the loss, if there is no instance any more.
    Publish(Arc<Members>, Option<Lost>),
}

/// Rules of a core.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Maximum number of reads under way; at least one is allowed.
    pub(crate) max_reads: usize,
    /// Longest pause between a change and the requests for it.
    pub(crate) spread: Millis,
}

/// The state machine.
#[derive(Debug)]
pub(crate) struct Core {
    settings: Settings,
    /// Time of the last input.
    now: Millis,
    connected: bool,
    /// True once there was no connection: then other clients come back at the same time as we do.
    was_away: bool,
    list: ListState,
    /// Changes whose requests wait for the end of the pause.
    paused: Option<Paused>,
    /// True if a list was answered over the present connection.
    confirmed: bool,
    entries: BTreeMap<InstanceId, Entry>,
    /// Nodes to read; some may be gone by the time it is their turn.
    queue: VecDeque<InstanceId>,
    /// Nodes to read again if the next list still has them.
    doubted: BTreeSet<InstanceId>,
    /// Times of the next reads of nodes that could not be used.
    retries: BTreeSet<(Millis, InstanceId)>,
    /// Number of reads under way.
    reads: usize,
    next_read: u64,
    /// Number of entries that have never been read.
    unread: usize,
    /// True if the entries may differ from the published members.
    changed: bool,
    published: Option<Arc<Members>>,
    losses: Losses,
    /// Loss of all instances, as long as there are none.
    lost: Option<Lost>,
    not_before: Option<Millis>,
    schedule: RetrySchedule,
    random: fastrand::Rng,
}

#[derive(Debug)]
struct Paused {
    until: Millis,
    list: bool,
    nodes: BTreeSet<InstanceId>,
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
    pub(crate) fn new(seed: u64, settings: Settings) -> Self {
        Self {
            settings,
            now: Millis(0),
            connected: false,
            was_away: false,
            list: ListState::Wanted,
            paused: None,
            confirmed: false,
            entries: BTreeMap::new(),
            queue: VecDeque::new(),
            doubted: BTreeSet::new(),
            retries: BTreeSet::new(),
            reads: 0,
            next_read: 0,
            unread: 0,
            changed: false,
            published: None,
            losses: Losses::default(),
            lost: None,
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
                self.not_before = if self.was_away { self.end_of_pause() } else { None };
                self.schedule.reset();
                self.list.outlive();
                // Watches report what they missed, but not when they are done with it. The answer to a list does.
                self.list.want();
            }
            Input::Disconnected => {
                self.connected = false;
                self.was_away = true;
                self.confirmed = false;
                self.list.outlive();
            }
            Input::Listed(Some(names)) => self.listed(names),
            Input::Listed(None) => self.list_failed(),
            Input::ListRefused => {
                self.confirmed = false;
                self.list_failed();
            }
            Input::ListChanged => self.list_changed(),
            Input::Read { id, read, outcome } => {
                self.reads -= 1;
                self.read(id, read, outcome);
            }
            Input::NodeChanged(id) => self.node_changed(id),
            Input::NodeDeleted(id) => {
                // A new node of that name may exist already, and the last list may have shown it.
                if self.remove(&id) {
                    self.list_changed();
                }
            }
            Input::NodeDeletedOrReplaced(id) => {
                let list_comes =
                    self.list != ListState::Known || self.paused.as_ref().is_some_and(|p| p.list);
                if list_comes {
                    self.doubted.insert(id);
                } else {
                    self.node_changed(id);
                }
            }
            Input::Timeout => self.not_before = self.not_before.filter(|&at| at > now),
        }
        if let Some(paused) = self.paused.take_if(|paused| paused.until <= now) {
            if paused.list {
                self.list.want();
            }
            paused.nodes.into_iter().for_each(|id| self.want_read(id));
        }
        while self.retries.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, id)) = self.retries.pop_first() else { break };
            self.want_read(id);
        }
    }

    /// Returns the next output, if there is one.
    #[must_use]
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.next_request().or_else(|| {
            let members = self.next_members()?;
            Some(Output::Publish(members, self.lost.clone()))
        })
    }

    /// Returns the time at which [`Input::Timeout`] is due.
    #[must_use]
    pub(crate) fn poll_deadline(&self) -> Option<Millis> {
        let request = self.not_before.filter(|_| self.connected);
        let paused = self.paused.as_ref().map(|paused| paused.until);
        let retry = self.retries.first().map(|(at, _)| *at);
        request.into_iter().chain(paused).chain(retry).min()
    }

    fn next_request(&mut self) -> Option<Output> {
        if !self.connected || self.not_before.is_some() {
            return None;
        }
        while self.reads < self.settings.max_reads.max(1) {
            let Some(id) = self.queue.pop_front() else { break };
            if let Some(entry) = self.entries.get_mut(&id).filter(|entry| entry.read == ReadState::Queued) {
                let read = ReadId(self.next_read);
                self.next_read += 1;
                self.reads += 1;
                entry.read = ReadState::InFlight { read, again: false };
                return Some(Output::Read { id, read });
            }
        }
        (self.unread == 0 && self.list.ask()).then_some(Output::List)
    }

    /// Returns the members, if they are known and differ from the published ones.
    fn next_members(&mut self) -> Option<Arc<Members>> {
        let settled = self.settle();
        let stale = !self.confirmed;
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
        if self.unread > 0 || !self.changed {
            return None;
        }
        self.changed = false;
        let members = self.derive();
        if !members.is_empty() {
            self.lost = None;
        } else if self.published.as_ref().is_some_and(|last| !last.is_empty()) {
            self.lost = Some(self.losses.take(self.now));
        }
        Some(members)
    }

    fn derive(&self) -> Members {
        // Collected, and not inserted one by one: the entries are in order already.
        let usable = self.entries.iter().filter_map(|(id, entry)| match &entry.value {
            Some(Ok(instance)) => Some((id.clone(), instance.clone())),
            _ => None,
        });
        let mut members: Members = usable.collect();
        let skipped = self.entries.iter().filter_map(|(id, entry)| match &entry.value {
            Some(Err(reason)) => Some(Skipped { id: id.clone(), reason: reason.clone() }),
            _ => None,
        });
        members.skipped.extend(skipped);
        members
    }

    fn list_failed(&mut self) {
        self.list = ListState::Wanted;
        self.retry_later();
    }

    fn listed(&mut self, mut names: Vec<String>) {
        self.confirmed |= self.list.answered();
        self.changed |= self.published.is_none();
        self.schedule.reset();
        names.sort_unstable();
        names.dedup();
        let (gone, new) = self.differences(&names);
        for id in &gone {
            self.remove(id);
        }
        for id in new {
            self.entries.insert(id.clone(), Entry { value: None, read: ReadState::Queued, retry: None });
            self.unread += 1;
            self.queue.push_back(id);
        }
        std::mem::take(&mut self.doubted).into_iter().for_each(|id| self.want_read(id));
    }

    /// Returns the entries that are not among the names, and the names that are no entries. The names are in order.
    fn differences(&self, names: &[String]) -> (Vec<InstanceId>, Vec<InstanceId>) {
        let (mut gone, mut new) = (Vec::new(), Vec::new());
        let mut known = self.entries.keys().peekable();
        for name in names {
            while let Some(id) = known.next_if(|id| id.as_str() < name.as_str()) {
                gone.push(id.clone());
            }
            if known.next_if(|id| id.as_str() == name).is_none() {
                new.push(InstanceId::from(name.as_str()));
            }
        }
        gone.extend(known.cloned());
        (gone, new)
    }

    fn read(&mut self, id: InstanceId, of: ReadId, outcome: ReadOutcome) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let ReadState::InFlight { read, again } = entry.read else { return };
        if read != of {
            return;
        }
        entry.read = ReadState::Idle;
        let (is_answered, is_watched) = match outcome {
            ReadOutcome::Decoded { watched, .. } => (true, watched),
            _ => (false, false),
        };
        let value = match outcome {
            ReadOutcome::Decoded { decoded, .. } => decoded.map(Arc::new).map_err(SkipReason::from),
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
        if !is_answered || (value.is_err() && !is_watched) {
            let schedule = before.map(|before| before.schedule);
            let mut schedule = schedule.unwrap_or_else(|| RetrySchedule::patient(self.random.u64(..)));
            let at = schedule.next(self.now);
            self.retries.insert((at, id.clone()));
            entry.retry = Some(Box::new(EntryRetry { schedule, at }));
        }
        if entry.value.as_ref() != Some(&value) {
            let broken = value.is_err();
            if let Some(Ok(instance)) = entry.value.replace(value).filter(|_| broken) {
                self.losses.remember(self.now, id.clone(), instance);
            }
            self.changed = true;
        }
        if again {
            self.want_read(id);
        }
    }

    /// Removes an entry. Returns false if there was none.
    fn remove(&mut self, id: &InstanceId) -> bool {
        let Some(entry) = self.entries.remove(id) else { return false };
        if let Some(retry) = entry.retry {
            self.retries.remove(&(retry.at, id.clone()));
        }
        match entry.value {
            Some(Ok(instance)) => self.losses.remember(self.now, id.clone(), instance),
            Some(Err(_)) => {}
            None => self.unread -= 1,
        }
        self.changed = true;
        true
    }

    fn list_changed(&mut self) {
        match self.pause() {
            Some(paused) => paused.list = true,
            None => self.list.want(),
        }
    }

    fn node_changed(&mut self, id: InstanceId) {
        match self.pause() {
            Some(paused) => drop(paused.nodes.insert(id)),
            None => self.want_read(id),
        }
    }

    /// Returns the pause that a change waits for: the present one, or a new one; `None` if it need not wait.
    fn pause(&mut self) -> Option<&mut Paused> {
        if self.paused.is_none() {
            let until = self.end_of_pause()?;
            self.paused = Some(Paused { until, list: false, nodes: BTreeSet::new() });
        }
        self.paused.as_mut()
    }

    /// Returns the end of a pause that begins now; `None` without a spread.
    fn end_of_pause(&mut self) -> Option<Millis> {
        let Millis(spread) = self.settings.spread;
        (spread > 0).then(|| self.now + Millis(self.random.u64(1..=spread)))
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
