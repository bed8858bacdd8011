//! Calls of a load, as they begin and end.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use rpc_client::Code;

use super::histogram::{record, times};
use super::report::Report;
use super::timeline::{Second, Timeline};

/// Counts of calls.
#[derive(Debug)]
pub(super) struct Tally(Mutex<Counts>);

#[derive(Clone, Debug)]
struct Counts {
    /// Calls that were due while it was measured, and have begun.
    begun: u64,
    /// Times of those that succeeded, in microseconds.
    times: Histogram<u64>,
    /// Those that failed.
    failed: BTreeMap<Code, u64>,
    /// Calls that ended while it was measured, whenever they began.
    timeline: Timeline,
}

/// State of a load that runs.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) calls: u64,
    pub(super) failed: u64,
    pub(super) last: Option<Second>,
}

impl Default for Tally {
    fn default() -> Self {
        let (times, timeline) = (times(), Timeline::new());
        Self(Mutex::new(Counts { begun: 0, times, failed: BTreeMap::new(), timeline }))
    }
}

impl Tally {
    /// Counts a call that was due while it is measured, and begins.
    pub(super) fn begin(&self) {
        self.lock().begun += 1;
    }

    /// Counts the end of a call that began so.
    pub(super) fn end(&self, time: Duration, failure: Option<Code>) {
        let mut counts = self.lock();
        match failure {
            None => record(&mut counts.times, time),
            Some(code) => *counts.failed.entry(code).or_default() += 1,
        }
    }

    /// Counts any call that ends while it is measured, at `at` from the beginning; `took` is `None` if it failed.
    pub(super) fn answered(&self, at: Duration, took: Option<Duration>) {
        self.lock().timeline.add(at, took);
    }

    pub(super) fn progress(&self) -> Progress {
        let counts = self.lock();
        let failed = counts.failed.values().sum();
        Progress { calls: counts.times.len() + failed, failed, last: counts.timeline.last().cloned() }
    }

    /// Returns the result; `due` is the number of calls that were due, in an open loop.
    pub(super) fn report(&self, measured: Duration, due: Option<u64>) -> Report {
        let Counts { begun, times, failed, timeline } = self.lock().clone();
        let ended = times.len() + failed.values().sum::<u64>();
        let not_started = due.map_or(0, |due| due.saturating_sub(begun));
        let (unfinished, seconds) = (begun.saturating_sub(ended), timeline.seconds(measured));
        Report { failed, times, unfinished, not_started, measured, seconds }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
