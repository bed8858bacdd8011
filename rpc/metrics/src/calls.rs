//! Calls of one method, or to one instance: counts by status code, latencies, and those in flight.

use std::array;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::histogram::Histogram;
use crate::label::OTHER;
use crate::snapshot::Snapshot;

/// gRPC's names of the status codes, each at its number.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds 1.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds a number.
    pub fn add(&self, number: u64) {
        self.0.fetch_add(number, Relaxed);
    }

    /// Returns the sum so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Calls of one method, or to one instance. A call costs three additions to atomic numbers; the first of each status code
/// allocates its histogram.
#[derive(Debug)]
pub struct CallSeries {
    started: Counter,
    /// Histograms by number of the code; the last one is that of codes without a name.
    by_code: [OnceLock<Box<Histogram>>; CODES.len() + 1],
    /// Stream messages that have been received.
    pub received: Counter,
    /// Stream messages that have been sent.
    pub sent: Counter,
}

impl Default for CallSeries {
    fn default() -> Self {
        let by_code = array::from_fn(|_| OnceLock::new());
        Self { started: Counter::default(), by_code, received: Counter::default(), sent: Counter::default() }
    }
}

/// Names and help of the families that a [`CallSeries`] is shown in.
pub(crate) struct CallFamilies {
    pub(crate) calls: (&'static str, &'static str),
    pub(crate) durations: (&'static str, &'static str),
    pub(crate) in_flight: (&'static str, &'static str),
}

impl CallSeries {
    /// Records the start of a call.
    pub fn start(&self) {
        self.started.increment();
    }

    /// Records the end of a call that was recorded at its start.
    pub fn end(&self, code: u8, took: Duration) {
        let index = usize::from(code).min(CODES.len());
        self.by_code[index].get_or_init(Box::default).record(took);
    }

    /// Adds the series to a snapshot.
    pub(crate) fn show(&self, snapshot: &mut Snapshot, families: &CallFamilies, labels: &[(&str, &str)]) {
        let CallFamilies { calls, durations, in_flight } = families;
        let mut ended = 0;
        for (code, histogram) in self.by_code.iter().enumerate() {
            let Some(histogram) = histogram.get() else { continue };
            let distribution = histogram.distribution();
            let name = CODES.get(code).copied().unwrap_or(OTHER);
            let labels: Vec<_> = labels.iter().copied().chain([("code", name)]).collect();
            ended += distribution.count();
            snapshot.counter(calls.0, calls.1, &labels, distribution.count());
            snapshot.histogram(durations.0, durations.1, &labels, distribution);
        }
        // Read last, so that no call has ended before it began.
        snapshot.gauge(in_flight.0, in_flight.1, labels, self.started.get().saturating_sub(ended));
    }

    /// Returns true if no call has begun.
    pub(crate) fn is_unused(&self) -> bool {
        self.started.get() == 0
    }
}
