//! The limit on calls in flight as all connections share it: a count, and the lock around an adaptive limit.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::TokioClock;
use tokio::time::Instant;

use super::adaptive::{AdaptiveLimit, EndedCall};
use crate::clock;
use crate::limits::Limits;

/// Time before its deadline from which on a dropped call counts as given up: clients cancel theirs a little early.
const NEARLY_LATE: Duration = Duration::from_millis(5);

/// Limit on the calls of a server in flight, and their number.
#[derive(Debug)]
pub(crate) struct Gate {
    in_flight: AtomicUsize,
    limit: AtomicUsize,
    adaptive: Option<Adaptive>,
}

#[derive(Debug)]
struct Adaptive {
    limit: Mutex<AdaptiveLimit>,
    clock: TokioClock,
}

/// Call whose end moves an adaptive limit.
#[derive(Debug)]
pub(crate) struct TimedCall {
    started: Instant,
    deadline: Option<Instant>,
    is_done: bool,
}

impl Gate {
    pub(crate) fn new(limits: &Limits) -> Self {
        let adaptive = limits.adaptive.then(|| Adaptive {
            limit: Mutex::new(AdaptiveLimit::new(limits.in_flight)),
            clock: TokioClock::start(),
        });
        let limit = adaptive.as_ref().map_or(limits.in_flight, |adaptive| adaptive.lock().limit());
        Self { in_flight: AtomicUsize::new(0), limit: AtomicUsize::new(limit), adaptive }
    }

    /// Returns the limit if it is reached.
    pub(crate) fn full(&self) -> Option<usize> {
        let limit = self.limit.load(Relaxed);
        if self.in_flight.load(Relaxed) < limit {
            return None;
        }
        if let Some(adaptive) = &self.adaptive {
            adaptive.lock().reached();
        }
        Some(limit)
    }

    /// Counts a call.
    pub(crate) fn enter(&self) {
        self.in_flight.fetch_add(1, Relaxed);
    }

    /// Notes the time if the limit is adaptive.
    pub(crate) fn time(&self, deadline: Option<Instant>) -> Option<TimedCall> {
        self.adaptive.as_ref().map(|_| TimedCall { started: clock::now(), deadline, is_done: false })
    }

    /// Counts the end of a call.
    pub(crate) fn leave(&self, timed: Option<TimedCall>) {
        self.in_flight.fetch_sub(1, Relaxed);
        let (Some(adaptive), Some(timed)) = (&self.adaptive, timed) else { return };
        let now = clock::now();
        let given_up = !timed.is_done;
        // A call that was cancelled early shows no more than that its client has lost interest.
        if given_up && timed.deadline.is_none_or(|at| now + NEARLY_LATE < at) {
            return;
        }
        let (clock, took) = (adaptive.clock, now.duration_since(timed.started));
        let mut limit = adaptive.lock();
        limit.ended(clock.at(now), EndedCall { started: clock.at(timed.started), took, given_up });
        self.limit.store(limit.limit(), Relaxed);
    }
}

impl TimedCall {
    /// Records that the call has ended by itself.
    pub(crate) fn done(&mut self) {
        self.is_done = true;
    }
}

impl Adaptive {
    fn lock(&self) -> MutexGuard<'_, AdaptiveLimit> {
        // The limit does not panic.
        self.limit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
