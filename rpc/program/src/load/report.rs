//! The result of a load: counts, a plot over time, and percentiles of the times that calls took.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use rpc_client::Code;
use serde_json::{Value, json};

use super::histogram::Bars;
use super::timeline::{Plot, Second};

const PERCENTILES: [f64; 6] = [50.0, 75.0, 90.0, 99.0, 99.9, 100.0];

/// Result of a load.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) failed: BTreeMap<Code, u64>,
    /// Times of successful calls, in microseconds.
    pub(super) times: Histogram<u64>,
    /// Calls that began and have not ended.
    pub(super) unfinished: u64,
    /// Calls of an open loop that were due, and could not begin.
    pub(super) not_started: u64,
    pub(super) measured: Duration,
    pub(super) seconds: Vec<Second>,
}

impl Report {
    pub(super) fn ok(&self) -> u64 {
        self.times.len()
    }

    /// Returns the number of calls that have ended.
    pub(super) fn calls(&self) -> u64 {
        self.ok() + self.failed.values().sum::<u64>()
    }

    /// Returns the successful calls a second: those that ended while it was measured, in that time.
    fn rate(&self) -> f64 {
        let seconds = self.measured.as_secs_f64();
        let ok: u64 = self.seconds.iter().map(|second| second.ok).sum();
        if seconds > 0.0 { ok as f64 / seconds } else { 0.0 }
    }

    pub(super) fn to_json(&self) -> Value {
        let failed: BTreeMap<_, _> = self.failed.iter().map(|(code, n)| (code.to_string(), n)).collect();
        let percentiles: BTreeMap<_, _> = PERCENTILES
            .iter()
            .map(|percentile| (percentile.to_string(), self.times.value_at_percentile(*percentile)))
            .collect();
        json!({
            "calls": self.calls(),
            "ok": self.ok(),
            "failed": failed,
            "unfinished": self.unfinished,
            "not_started": self.not_started,
            "seconds": self.measured.as_secs_f64(),
            "calls_per_second": self.rate(),
            "mean_us": self.times.mean(),
            "percentiles_us": percentiles,
            "per_second": self.seconds,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} calls in {:.1?}, {:.0} a second", self.calls(), self.measured, self.rate())?;
        for (code, count) in &self.failed {
            write!(f, "\n  {count} failed: {code}")?;
        }
        if self.unfinished > 0 {
            write!(f, "\n  {} more have no answer yet", self.unfinished)?;
        }
        if self.not_started > 0 {
            write!(
                f,
                "\n  {} more were due, and did not begin, because all callers were busy",
                self.not_started
            )?;
        }
        if self.seconds.len() > 1 {
            write!(f, "\n\n{}", Plot(&self.seconds))?;
        }
        if self.ok() == 0 {
            return Ok(());
        }
        let mean = Duration::from_nanos((self.times.mean() * 1_000.0) as u64);
        write!(f, "\n\n  mean  {:>10}", format!("{mean:.1?}"))?;
        for percentile in PERCENTILES {
            let time = Duration::from_micros(self.times.value_at_percentile(percentile));
            let name = if percentile == 100.0 { "max".to_owned() } else { format!("p{percentile}") };
            write!(f, "\n  {name:<5} {:>10}", format!("{time:.1?}"))?;
        }
        write!(f, "\n\n{}", Bars(&self.times).to_string().trim_end_matches('\n'))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tally::Tally;
    use super::*;

    #[test]
    fn a_report_counts_successes_failures_and_their_times() {
        let tally = Tally::default();
        for micros in 1..=101 {
            tally.begin();
            let (time, failure) =
                (Duration::from_micros(micros * 10), (micros == 101).then_some(Code::UNAVAILABLE));
            tally.end(time, failure);
            tally.answered(Duration::from_millis(micros * 19), failure.is_none().then_some(time));
        }
        let progress = tally.progress();
        assert_eq!((progress.calls, progress.failed, progress.last.map(|last| last.ok)), (101, 1, Some(52)));
        let report = tally.report(Duration::from_secs(2), None);
        let json = report.to_json();
        assert_eq!((&json["ok"], &json["failed"]["UNAVAILABLE"]), (&json!(100), &json!(1)));
        assert_eq!((&json["calls_per_second"], &json["percentiles_us"]["50"]), (&json!(50.0), &json!(500)));
        assert_eq!((&json["per_second"][0]["ok"], &json["per_second"][1]["ok"]), (&json!(52), &json!(48)));
        assert_eq!((&json["per_second"][1]["failed"], &json["per_second"][2]), (&json!(1), &json!(null)));
        let text = report.to_string();
        assert!(text.starts_with("101 calls in 2.0s, 50 a second\n"), "{text}");
        assert!(text.contains("1 failed: UNAVAILABLE") && text.contains("p99"), "{text}");
    }

    #[test]
    fn calls_without_an_answer_and_calls_that_did_not_begin_are_reported() {
        let tally = Tally::default();
        for _ in 0..10 {
            tally.begin();
        }
        for _ in 0..4 {
            tally.end(Duration::from_secs(11), None);
        }
        let report = tally.report(Duration::from_secs(10), Some(50));
        assert_eq!((report.unfinished, report.not_started, report.calls()), (6, 40, 4));
        // None of them ended while it was measured.
        assert_eq!(report.to_json()["calls_per_second"], json!(0.0));
        let text = report.to_string();
        assert!(text.contains("6 more have no answer yet\n  40 more were due"), "{text}");
    }

    #[test]
    fn a_report_without_a_success_has_no_times() {
        let tally = Tally::default();
        tally.begin();
        tally.end(Duration::ZERO, Some(Code::INTERNAL));
        let text = tally.report(Duration::ZERO, None).to_string();
        assert_eq!(text, "1 calls in 0.0ns, 0 a second\n  1 failed: INTERNAL");
    }
}
