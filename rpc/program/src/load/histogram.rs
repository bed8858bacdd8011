//! Latencies as bars in the terminal.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;

/// Length of the longest bar.
const WIDTH: u64 = 50;

/// Bars of a histogram of microseconds: one for each step of a logarithmic scale.
#[derive(Debug)]
pub(super) struct Bars<'a>(pub(super) &'a Histogram<u64>);

impl Bars<'_> {
    /// Returns the upper end and the count of each bar.
    fn bars(&self) -> Vec<(Duration, u64)> {
        let (least, most) = (self.0.min(), self.0.max());
        let mut bars = Vec::new();
        let mut from = 0;
        for end in scale() {
            if end > least {
                bars.push((Duration::from_micros(end), self.0.count_between(from, end - 1)));
            }
            if end > most {
                break;
            }
            from = end;
        }
        bars
    }
}

/// Returns a bar for a value, as long as `width` for the largest one. A bar of little can be seen, too.
pub(super) fn bar(value: u64, largest: u64, width: u64) -> String {
    let length = if value == 0 { 0 } else { (value.saturating_mul(width) / largest.max(1)).max(1) };
    "█".repeat(usize::try_from(length).unwrap_or(0))
}

/// Makes an empty histogram of microseconds.
pub(super) fn times() -> Histogram<u64> {
    Histogram::new(3).expect("three significant digits are allowed")
}

/// Adds a time to a histogram, which grows as far as it must.
pub(super) fn record(times: &mut Histogram<u64>, time: Duration) {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    if times.record(micros).is_err() {
        times.saturating_record(micros);
    }
}

/// Returns 1, 2, 5, 10, 20, 50 …
fn scale() -> impl Iterator<Item = u64> {
    let decades = (0..=18).map(|power| 10_u64.pow(power));
    decades.flat_map(|decade| [decade, decade.saturating_mul(2), decade.saturating_mul(5)])
}

impl fmt::Display for Bars<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bars = self.bars();
        let longest = bars.iter().map(|(_, count)| *count).max().unwrap_or(0);
        for (end, count) in bars {
            let bar = bar(count, longest, WIDTH);
            writeln!(f, "  < {:>7}  {count:>9}  {bar}", format!("{end:?}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_is_in_one_bar() {
        let mut histogram = times();
        for micros in [1, 3, 40, 41, 999, 1_000, 70_000] {
            histogram.record(micros).expect("no limit");
        }
        let bars = Bars(&histogram).bars();
        assert_eq!(bars.iter().map(|(_, count)| count).sum::<u64>(), 7);
        assert_eq!(bars.last().map(|(end, _)| *end), Some(Duration::from_millis(100)));
        let text = Bars(&histogram).to_string();
        assert!(text.lines().all(|line| line.starts_with("  < ")), "{text}");
    }

    #[test]
    fn a_long_time_is_recorded_as_it_is() {
        let mut histogram = times();
        for time in [Duration::from_millis(5), Duration::from_secs(90), Duration::MAX] {
            record(&mut histogram, time);
        }
        assert_eq!((histogram.len(), histogram.value_at_percentile(60.0) / 1_000_000), (3, 90));
    }

    #[test]
    fn no_call_has_no_bar_that_is_long() {
        assert!(!Bars(&times()).to_string().contains('█'));
    }
}
