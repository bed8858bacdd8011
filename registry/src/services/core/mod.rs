//! Names of the services, as a state machine: lists go in, the next lists and the names come out. It knows no connection,
//! clock or task.

use std::collections::BTreeSet;
use std::sync::Arc;

use common::Millis;

use crate::list_state::ListState;
use crate::retry::RetrySchedule;

/// Services of a registry at one moment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct ServiceNames {
    /// Names that subscriptions and registrations take.
    pub names: BTreeSet<String>,
    /// True if these are the last known names and may be out of date: no server is connected, or it refuses to list them.
    pub stale: bool,
}

/// Events that the shell reports.
#[derive(Clone, Debug)]
pub(super) enum Input {
    /// A connection exists.
    Connected,
    /// No connection exists.
    Disconnected,
    /// Names of the services, with a watch; none if their parent does not exist. `None` if there was no answer.
    Listed(Option<BTreeSet<String>>),
    /// The servers refuse the list.
    Refused,
    /// The watch fired or was lost.
    Changed,
    /// The deadline has come.
    Timeout,
}

/// Request to perform, or names to publish.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Output {
    /// List the services, with a watch.
    List,
    /// Publish the names: they differ from the last ones.
    Publish(Arc<ServiceNames>),
}

/// The state machine.
#[derive(Debug)]
pub(super) struct Core {
    connected: bool,
    list: ListState,
    /// True if a list was answered over the present connection.
    confirmed: bool,
    names: Option<BTreeSet<String>>,
    published: Option<Arc<ServiceNames>>,
    not_before: Option<Millis>,
    schedule: RetrySchedule,
}

impl Core {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            connected: false,
            list: ListState::Wanted,
            confirmed: false,
            names: None,
            published: None,
            not_before: None,
            schedule: RetrySchedule::new(seed),
        }
    }

    /// Takes an input. Call [`Self::poll_output`] then.
    pub(super) fn handle(&mut self, now: Millis, input: Input) {
        match input {
            Input::Connected => {
                self.connected = true;
                self.not_before = None;
                self.schedule.reset();
                self.list.outlive();
                self.list.want();
            }
            Input::Disconnected => {
                (self.connected, self.confirmed) = (false, false);
                self.list.outlive();
            }
            Input::Listed(Some(names)) => {
                self.confirmed |= self.list.answered();
                self.schedule.reset();
                self.names = Some(names);
            }
            Input::Listed(None) => self.failed(now),
            Input::Refused => {
                self.confirmed = false;
                self.failed(now);
            }
            Input::Changed => self.list.want(),
            Input::Timeout => self.not_before = self.not_before.filter(|&at| at > now),
        }
    }

    fn failed(&mut self, now: Millis) {
        self.list = ListState::Wanted;
        self.not_before = Some(self.schedule.next(now)).filter(|&at| at > now);
    }

    /// Returns the next output, if there is one.
    #[must_use]
    pub(super) fn poll_output(&mut self) -> Option<Output> {
        if self.connected && self.not_before.is_none() && self.list.ask() {
            return Some(Output::List);
        }
        let names = self.names.as_ref()?;
        let published = self.published.as_deref();
        if published.is_some_and(|last| last.names == *names && last.stale != self.confirmed) {
            return None;
        }
        let next = Arc::new(ServiceNames { names: names.clone(), stale: !self.confirmed });
        self.published = Some(next.clone());
        Some(Output::Publish(next))
    }

    /// Returns the time at which [`Input::Timeout`] is due.
    #[must_use]
    pub(super) fn poll_deadline(&self) -> Option<Millis> {
        self.not_before.filter(|_| self.connected)
    }
}

#[cfg(test)]
mod tests;
