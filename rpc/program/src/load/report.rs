//! The result of a load: counts, and percentiles of the times that calls took.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use rpc_client::Code;
use serde_json::{Value, json};

use super::histogram::Bars;

const PERCENTILES: [f64; 6] = [50.0, 75.0, 90.0, 99.0, 99.9, 100.0];

/// Calls that have ended.
#[derive(Debug)]
pub(super) struct Tally(Mutex<Counts>);

#[derive(Clone, Debug)]
struct Counts {
    /// Times of successful calls, in microseconds.
    times: Histogram<u64>,
    failed: BTreeMap<Code, u64>,
}

impl Default for Tally {
    fn default() -> Self {
        let times = Histogram::new(3).expect("three significant digits are allowed");
        Self(Mutex::new(Counts { times, failed: BTreeMap::new() }))
    }
}

impl Tally {
    pub(super) fn add(&self, time: Duration, failure: Option<Code>) {
        let mut counts = self.lock();
        match failure {
            None => counts.times.saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX)),
            Some(code) => *counts.failed.entry(code).or_default() += 1,
        }
    }

    /// Returns the number of calls, and of those that failed.
    pub(super) fn counts(&self) -> (u64, u64) {
        let counts = self.lock();
        let failed = counts.failed.values().sum();
        (counts.times.len() + failed, failed)
    }

    pub(super) fn report(&self, measured: Duration) -> Report {
        let Counts { times, failed } = self.lock().clone();
        Report { ok: times.len(), failed, times, measured }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Result of a load.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) ok: u64,
    failed: BTreeMap<Code, u64>,
    times: Histogram<u64>,
    measured: Duration,
}

impl Report {
    pub(super) fn calls(&self) -> u64 {
        self.ok + self.failed.values().sum::<u64>()
    }

    fn rate(&self) -> f64 {
        let seconds = self.measured.as_secs_f64();
        if seconds > 0.0 { self.ok as f64 / seconds } else { 0.0 }
    }

    pub(super) fn to_json(&self) -> Value {
        let failed: BTreeMap<_, _> = self.failed.iter().map(|(code, n)| (code.to_string(), n)).collect();
        let percentiles: BTreeMap<_, _> = PERCENTILES
            .iter()
            .map(|percentile| (percentile.to_string(), self.times.value_at_percentile(*percentile)))
            .collect();
        json!({
            "calls": self.calls(),
            "ok": self.ok,
            "failed": failed,
            "seconds": self.measured.as_secs_f64(),
            "calls_per_second": self.rate(),
            "mean_us": self.times.mean(),
            "percentiles_us": percentiles,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} calls in {:.1?}, {:.0} a second", self.calls(), self.measured, self.rate())?;
        for (code, count) in &self.failed {
            writeln!(f, "  {count} failed: {code}")?;
        }
        if self.ok == 0 {
            return Ok(());
        }
        writeln!(f)?;
        writeln!(f, "  mean  {:>10.1?}", Duration::from_nanos((self.times.mean() * 1_000.0) as u64))?;
        for percentile in PERCENTILES {
            let time = Duration::from_micros(self.times.value_at_percentile(percentile));
            let name = if percentile == 100.0 { "max".to_owned() } else { format!("p{percentile}") };
            writeln!(f, "  {name:<5} {:>10}", format!("{time:.1?}"))?;
        }
        writeln!(f)?;
        write!(f, "{}", Bars(&self.times).to_string().trim_end_matches('\n'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_counts_successes_failures_and_their_times() {
        let tally = Tally::default();
        for micros in 1..=100 {
            tally.add(Duration::from_micros(micros * 10), None);
        }
        tally.add(Duration::from_secs(1), Some(Code::UNAVAILABLE));
        assert_eq!(tally.counts(), (101, 1));
        let report = tally.report(Duration::from_secs(2));
        let json = report.to_json();
        assert_eq!((&json["ok"], &json["failed"]["UNAVAILABLE"]), (&json!(100), &json!(1)));
        assert_eq!((&json["calls_per_second"], &json["percentiles_us"]["50"]), (&json!(50.0), &json!(500)));
        let text = report.to_string();
        assert!(text.contains("101 calls in 2.0s, 50 a second"), "{text}");
        assert!(text.contains("1 failed: UNAVAILABLE") && text.contains("p99"), "{text}");
    }

    #[test]
    fn a_report_without_a_success_has_no_times() {
        let tally = Tally::default();
        tally.add(Duration::ZERO, Some(Code::INTERNAL));
        let text = tally.report(Duration::ZERO).to_string();
        assert_eq!(text, "1 calls in 0.0ns, 0 a second\n  1 failed: INTERNAL\n");
    }
}
