//! Distributions of durations as values: buckets, sums, percentiles.

use std::time::Duration;

/// Smallest difference that the buckets tell apart: this many units are a millisecond.
const UNITS_PER_MS: u64 = 1 << UNITS_PER_MS_LOG;
const UNITS_PER_MS_LOG: u32 = 13;

/// Each power of two is divided into this many buckets.
const PARTS: u64 = 1 << PARTS_LOG;
const PARTS_LOG: u32 = 3;

/// Number of buckets. The last one has everything from 131 s on.
pub(crate) const BUCKETS: usize = 225;

/// Units from which the last bucket begins.
const LONGEST: u64 = 1 << 30;

const NANOS_PER_MS: u64 = 1_000_000;

/// Powers of two, in milliseconds, that bound the buckets of the text format: 15.625 µs to 65.536 s.
const BOUNDS: std::ops::RangeInclusive<i32> = -6..=16;

/// Durations by bucket, and their sum: a reading of a [`Histogram`](crate::Histogram), or the sum of several.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Distribution {
    /// Counts up to the last bucket that is not empty.
    buckets: Vec<u64>,
    /// Sum of all durations in nanoseconds.
    sum: u64,
}

impl Distribution {
    /// Makes a distribution of these counts; those beyond the last bucket are ignored.
    pub(crate) fn new(buckets: &[u64], sum: u64) -> Self {
        let mut buckets: Vec<_> = buckets.iter().copied().take(BUCKETS).collect();
        while buckets.pop_if(|count| *count == 0).is_some() {}
        Self { buckets, sum }
    }

    /// Returns the number of durations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Returns the sum of all durations.
    #[must_use]
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum)
    }

    /// Returns the mean; zero if there are no durations.
    #[must_use]
    pub fn mean(&self) -> Duration {
        Duration::from_nanos(self.sum.checked_div(self.count()).unwrap_or(0))
    }

    /// Returns the duration that `percent` of all do not exceed, or up to an eighth more; zero if there are none.
    ///
    /// Durations beyond 131 s count as 131 s.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)]
    pub fn percentile(&self, percent: f64) -> Duration {
        let count = self.count();
        // A float is exact enough: the buckets are coarser.
        let rank = ((percent.clamp(0.0, 100.0) / 100.0 * count as f64).ceil() as u64).clamp(1, count.max(1));
        let mut seen = 0_u64;
        let at = self.buckets.iter().position(|here| {
            seen = seen.saturating_add(*here);
            seen >= rank
        });
        at.map_or(Duration::ZERO, |index| Duration::from_nanos(upper_bound(index)))
    }

    /// Adds another distribution.
    pub fn merge(&mut self, other: &Self) {
        if self.buckets.len() < other.buckets.len() {
            self.buckets.resize(other.buckets.len(), 0);
        }
        for (mine, others) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine = mine.saturating_add(*others);
        }
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// Returns the upper bounds of the text format, in seconds, each with the number of durations up to it.
    pub(crate) fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        BOUNDS.map(|power| {
            let end = first_of_power(UNITS_PER_MS_LOG.saturating_add_signed(power)).min(self.buckets.len());
            let count = self.buckets[..end].iter().fold(0, |sum: u64, count| sum.saturating_add(*count));
            (f64::from(power).exp2() / 1e3, count)
        })
    }

    pub(crate) fn buckets(&self) -> &[u64] {
        &self.buckets
    }

    pub(crate) fn nanos(&self) -> u64 {
        self.sum
    }
}

/// Returns a duration in nanoseconds.
pub(crate) fn nanos(took: Duration) -> u64 {
    u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)
}

/// Returns the bucket of a duration in nanoseconds. A bucket contains its upper bound, and not its lower one.
pub(crate) fn bucket(nanos: u64) -> usize {
    let longest = u64::MAX / UNITS_PER_MS;
    let units = nanos.saturating_sub(1).min(longest) * UNITS_PER_MS / NANOS_PER_MS;
    if units < PARTS {
        return usize::try_from(units).unwrap_or(0);
    }
    let power = units.ilog2();
    let part = usize::try_from((units >> (power - PARTS_LOG)) % PARTS).unwrap_or(0);
    (first_of_power(power) + part).min(BUCKETS - 1)
}

/// Returns the first bucket of the units from two to this power on.
fn first_of_power(power: u32) -> usize {
    (power.saturating_sub(PARTS_LOG - 1) as usize) << PARTS_LOG
}

/// Returns the upper bound of a bucket in nanoseconds.
fn upper_bound(bucket: usize) -> u64 {
    let (octave, part) = (bucket >> PARTS_LOG, bucket as u64 % PARTS);
    let units = match octave {
        0 => part + 1,
        octave => (PARTS + part + 1) << (octave - 1),
    };
    units.min(LONGEST) * NANOS_PER_MS / UNITS_PER_MS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(nanos: &[u64]) -> Distribution {
        let mut counts = [0; BUCKETS];
        for nanos in nanos {
            counts[bucket(*nanos)] += 1;
        }
        Distribution::new(&counts, nanos.iter().sum())
    }

    #[test]
    fn the_bounds_of_the_text_format_are_exact() {
        for (bound, at_most) in of(&[15_625]).cumulative() {
            assert_eq!(at_most, 1, "{bound}");
        }
        let above = of(&[1_000_001]);
        let count = |bound: f64| above.cumulative().find(|(at, _)| *at == bound).unwrap().1;
        assert_eq!((count(0.001), count(0.002)), (0, 1));
        assert_eq!(of(&[1_000_000]).cumulative().find(|(at, _)| *at == 0.001).unwrap().1, 1);
        assert_eq!(of(&[]).cumulative().last().unwrap().0, 65.536);
    }

    #[test]
    fn the_longest_durations_share_the_last_bucket() {
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
        assert_eq!(bucket(131_072_000_001), BUCKETS - 1);
        assert_eq!(bucket(131_072_000_000), BUCKETS - 2);
        assert_eq!(of(&[u64::MAX]).percentile(50.0), Duration::from_millis(131_072));
    }

    #[test]
    fn an_empty_distribution_has_zeros() {
        let empty = of(&[]);
        assert_eq!(
            (empty.count(), empty.mean(), empty.percentile(99.0)),
            (0, Duration::ZERO, Duration::ZERO)
        );
    }

    proptest! {
        #[test]
        fn a_percentile_is_at_most_an_eighth_above_the_exact_one(
            mut nanos in prop::collection::vec(1_000_u64..100_000_000_000, 1..200),
            percent in 0.0..100.0,
        ) {
            let shown = of(&nanos).percentile(percent);
            nanos.sort_unstable();
            let rank = (percent / 100.0 * nanos.len() as f64).ceil() as usize;
            let exact = nanos[rank.clamp(1, nanos.len()) - 1];
            let shown = u64::try_from(shown.as_nanos()).unwrap();
            prop_assert!(shown >= exact - 1 && shown <= exact + exact / 8 + 123, "{shown} {exact}");
        }

        #[test]
        fn a_sum_is_the_distribution_of_both(
            some in prop::collection::vec(0_u64..1_000_000_000_000, 0..50),
            others in prop::collection::vec(0_u64..1_000_000_000_000, 0..50),
        ) {
            let mut sum = of(&some);
            sum.merge(&of(&others));
            prop_assert_eq!(sum, of(&[some, others].concat()));
        }
    }
}
