//! The health of a link's process, as its calls show it.

use std::fmt;
use std::time::Duration;

use common::Millis;

/// Share of a new sample in the average of latencies: one of so many.
const SMOOTHING: i64 = 8;

/// Health of a process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Health {
    pub(crate) standing: Standing,
    /// Number of failures since the last success.
    pub(crate) in_row: u32,
    /// Time of the last failure.
    pub(crate) failed_at: Millis,
    pub(crate) window: Window,
    /// Number of ejections so far.
    pub(crate) ejections: u32,
    /// Number of ejections that followed each other; it decides about the length of the next.
    pub(super) relapses: u32,
    /// Time of the last return.
    pub(super) returned_at: Option<Millis>,
    /// Moving average of the time to an answer, in microseconds.
    latency: Option<i64>,
}

/// Part of a process in the work.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Standing {
    /// It gets calls.
    #[default]
    In,
    /// It gets none until a time, and then one as a probe.
    Ejected { until: Millis, reason: EjectionReason },
    /// A single call finds out whether it has recovered: the one that has this number.
    Probing { reason: EjectionReason, probe: u32, until: Millis, is_stream: bool },
}

/// Reason of an ejection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum EjectionReason {
    /// Calls failed one after another.
    ConsecutiveFailures,
    /// Too large a part of the calls failed.
    FailureRate,
    /// Answers took several times as long as those of the others.
    Latency,
}

impl fmt::Display for EjectionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ConsecutiveFailures => "calls failed one after another",
            Self::FailureRate => "too many calls failed",
            Self::Latency => "answers took too long",
        })
    }
}

impl Health {
    pub(crate) fn is_in(&self) -> bool {
        self.standing == Standing::In
    }

    /// Returns the moving average of the time to an answer.
    pub(crate) fn latency(&self) -> Option<Duration> {
        self.latency.map(|micros| Duration::from_micros(micros.unsigned_abs()))
    }

    /// Ends an ejection: calls come again.
    pub(super) fn take_back(&mut self, now: Millis) {
        self.standing = Standing::In;
        (self.window, self.returned_at) = (Window::default(), Some(now));
    }

    /// Notes an answer that is no failure.
    pub(super) fn succeed(&mut self) {
        self.in_row = 0;
    }

    /// Notes a failure.
    pub(super) fn fail(&mut self, now: Millis) {
        self.in_row = self.in_row.saturating_add(1);
        self.failed_at = now;
    }

    /// Notes the time to an answer.
    pub(super) fn took(&mut self, micros: u64) {
        let micros = i64::try_from(micros).unwrap_or(i64::MAX);
        self.latency = Some(self.latency.map_or(micros, |mean| mean + (micros - mean) / SMOOTHING));
    }

    /// Returns true if a connection made anew must not make this forgotten.
    pub(super) fn is_notable(&self) -> bool {
        self.in_row > 0 || !self.is_in() || self.relapses > 0
    }
}

/// Counts of the calls of the last while: between one and two halves of a window.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Window {
    begun: Millis,
    last: Counts,
    this: Counts,
}

/// Counts of calls.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Counts {
    pub(crate) calls: u64,
    pub(crate) failed: u64,
    /// Number of those whose time says something of the process.
    pub(crate) timed: u64,
    /// Sum of their times to an answer, in microseconds.
    pub(crate) micros: u64,
}

impl Window {
    /// Notes a call.
    pub(super) fn add(&mut self, now: Millis, half: Millis, call: Counts) {
        let age = now.since(self.begun);
        if age >= half {
            self.last = if age < half + half { self.this } else { Counts::default() };
            (self.this, self.begun) = (Counts::default(), now);
        }
        self.this = self.this.plus(call);
    }

    /// Returns the sums. Those of a link without calls are old, and say the last that is known of it.
    pub(crate) fn sum(&self) -> Counts {
        self.this.plus(self.last)
    }
}

impl Counts {
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            calls: self.calls.saturating_add(other.calls),
            failed: self.failed.saturating_add(other.failed),
            timed: self.timed.saturating_add(other.timed),
            micros: self.micros.saturating_add(other.micros),
        }
    }
}
