//! Figures of a load for each second: for a plot, and for programs.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::histogram::{bar, record, times};

/// Maximum number of lines of the plot.
const LINES: usize = 20;

/// Length of the longest bar of each of the two plots.
const WIDTH: u64 = 24;

/// Calls by the second in which they ended. Seconds that are over are kept as a few numbers.
#[derive(Clone, Debug)]
pub(super) struct Timeline {
    over: Vec<Second>,
    ok: Histogram<u64>,
    failed: u64,
}

/// Calls that ended in a second.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Second {
    /// Length in seconds: less than 1 if it was the last one, and not whole.
    length: f64,
    pub(super) ok: u64,
    failed: u64,
    p50_us: u64,
    p99_us: u64,
    max_us: u64,
}

impl Timeline {
    pub(super) fn new() -> Self {
        Self { over: Vec::new(), ok: times(), failed: 0 }
    }

    /// Adds a call that ended at `at`, from the beginning; `took` is `None` if it failed.
    pub(super) fn add(&mut self, at: Duration, took: Option<Duration>) {
        let second = usize::try_from(at.as_secs()).unwrap_or(usize::MAX);
        while self.over.len() < second {
            self.close(1.0);
        }
        match took {
            Some(took) => record(&mut self.ok, took),
            None => self.failed += 1,
        }
    }

    fn close(&mut self, length: f64) {
        let at = |percentile| self.ok.value_at_percentile(percentile);
        let (ok, failed) = (self.ok.len(), self.failed);
        let (p50_us, p99_us, max_us) = (at(50.0), at(99.0), self.ok.max());
        self.over.push(Second { length, ok, failed, p50_us, p99_us, max_us });
        self.ok.reset();
        self.failed = 0;
    }

    /// Returns the last second that is over.
    pub(super) fn last(&self) -> Option<&Second> {
        self.over.last()
    }

    /// Returns the seconds of a load of this length.
    pub(super) fn seconds(mut self, measured: Duration) -> Vec<Second> {
        while self.over.len() < usize::try_from(measured.as_secs()).unwrap_or(usize::MAX) {
            self.close(1.0);
        }
        let part = measured.subsec_nanos();
        if part > 0 && self.over.len() as u64 == measured.as_secs() {
            self.close(f64::from(part) / 1e9);
        }
        self.over
    }
}

impl Second {
    /// Returns two as one: the sum of their calls, and the worse of their times.
    fn with(&self, other: &Self) -> Self {
        Self {
            length: self.length + other.length,
            ok: self.ok + other.ok,
            failed: self.failed + other.failed,
            p50_us: self.p50_us.max(other.p50_us),
            p99_us: self.p99_us.max(other.p99_us),
            max_us: self.max_us.max(other.max_us),
        }
    }

    fn rate(&self) -> u64 {
        (self.ok as f64 / self.length).round() as u64
    }

    pub(super) fn p99(&self) -> Duration {
        Duration::from_micros(self.p99_us)
    }
}

/// Plot of rates and latencies, one line for each second or for several.
#[derive(Debug)]
pub(super) struct Plot<'a>(pub(super) &'a [Second]);

impl fmt::Display for Plot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = self.0.len().div_ceil(LINES).max(1);
        let lines: Vec<Second> = self
            .0
            .chunks(each)
            .filter_map(|part| part.iter().cloned().reduce(|sum, one| sum.with(&one)))
            .collect();
        let fastest = lines.iter().map(Second::rate).max().unwrap_or(0);
        let slowest = lines.iter().map(|line| line.p99_us).max().unwrap_or(0);
        let width = usize::try_from(WIDTH).unwrap_or(0);
        write!(f, "  {:>7}  {:>9}  {:width$}  {:>9}  {:>9}", "time", "a second", "", "p50", "p99")?;
        let mut end = 0.0;
        for line in &lines {
            end += line.length;
            let (rate, p50) = (line.rate(), Duration::from_micros(line.p50_us));
            let time = if end.fract() == 0.0 { format!("{end:.0}s") } else { format!("{end:.1}s") };
            let (p50, p99) = (format!("{p50:.1?}"), format!("{:.1?}", line.p99()));
            let mut text = format!("  {time:>7}  {rate:>9}  {:width$}", bar(rate, fastest, WIDTH));
            if line.ok > 0 {
                text += &format!("  {p50:>9}  {p99:>9}  {}", bar(line.p99_us, slowest, WIDTH));
            }
            if line.failed > 0 {
                text += &format!("  {} failed", line.failed);
            }
            write!(f, "\n{}", text.trim_end())?;
        }
        if each > 1 {
            write!(f, "\n  each line is {each} seconds, with the times of the worst of them")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn calls_are_counted_in_the_second_in_which_they_ended() {
        let mut timeline = Timeline::new();
        for (at, took) in [(100, Some(5)), (900, Some(7)), (950, None), (3_200, Some(9))] {
            timeline.add(millis(at), took.map(millis));
        }
        let seconds = timeline.seconds(millis(3_500));
        let counts: Vec<_> =
            seconds.iter().map(|second| (second.ok, second.failed, second.max_us / 1_000)).collect();
        assert_eq!(counts, [(2, 1, 7), (0, 0, 0), (0, 0, 0), (1, 0, 9)]);
        let rates: Vec<_> = seconds.iter().map(Second::rate).collect();
        assert_eq!(rates, [2, 0, 0, 2]);
    }

    #[test]
    fn a_second_without_calls_at_the_end_is_shown_too() {
        assert_eq!(Timeline::new().seconds(millis(2_000)).len(), 2);
        assert_eq!(Timeline::new().seconds(millis(0)).len(), 0);
    }

    #[test]
    fn a_plot_has_a_line_for_each_second() {
        let mut timeline = Timeline::new();
        for at in [100, 200, 1_100] {
            timeline.add(millis(at), Some(millis(at)));
        }
        timeline.add(millis(1_900), None);
        let text = Plot(&timeline.seconds(millis(2_000))).to_string();
        let lines: Vec<_> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
        assert_eq!(lines[0], ["time", "a", "second", "p50", "p99"]);
        assert_eq!(lines[1][..2], ["1s", "2"]);
        assert_eq!(lines[2][..2], ["2s", "1"]);
        assert_eq!(lines[2][lines[2].len() - 2..], ["1", "failed"]);
        assert!(lines[1][2].chars().count() == 24 && lines[2][2].chars().count() == 12, "{text}");
    }

    #[test]
    fn a_long_load_has_a_plot_of_few_lines() {
        let mut timeline = Timeline::new();
        for second in 0..600 {
            timeline.add(millis(second * 1_000), Some(millis(second)));
        }
        let text = Plot(&timeline.seconds(millis(600_000))).to_string();
        assert_eq!(text.lines().count(), 22, "{text}");
        assert!(text.ends_with("each line is 30 seconds, with the times of the worst of them"), "{text}");
    }
}
