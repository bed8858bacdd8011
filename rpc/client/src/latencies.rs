//! Latencies of each method, for calls that are hedged when they take longer than most. No I/O: times are given.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Number of calls before a method has a limit.
const ENOUGH: u32 = 100;

/// Number of calls after which older ones count half.
const FADE: u32 = 2_000;

/// Maximum number of methods that are remembered.
const MAX_METHODS: usize = 256;

/// Buckets of a histogram: four for each doubling, from a microsecond on.
const BUCKETS: usize = 4 * 40;

/// Latencies of the methods of a service.
#[derive(Debug)]
pub(crate) struct Latencies {
    percentile: u32,
    methods: Mutex<BTreeMap<String, Histogram>>,
}

impl Latencies {
    pub(crate) fn new(percentile: u32) -> Self {
        Self { percentile: percentile.clamp(1, 100), methods: Mutex::default() }
    }

    /// Notes the time that a call of a method took.
    pub(crate) fn add(&self, method: &str, took: Duration) {
        let mut methods = self.methods.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(histogram) = methods.get_mut(method) {
            histogram.add(took);
        } else if methods.len() < MAX_METHODS {
            methods.entry(method.to_owned()).or_default().add(took);
        }
    }

    /// Returns the time within which calls of a method usually end; `None` before there were enough.
    pub(crate) fn limit(&self, method: &str) -> Option<Duration> {
        let methods = self.methods.lock().unwrap_or_else(PoisonError::into_inner);
        methods.get(method).filter(|histogram| histogram.total >= ENOUGH)?.at(self.percentile)
    }
}

/// Counts by latency, in buckets that grow by a quarter of a doubling.
#[derive(Debug)]
struct Histogram {
    counts: [u32; BUCKETS],
    total: u32,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], total: 0 }
    }
}

impl Histogram {
    fn add(&mut self, took: Duration) {
        if self.total >= FADE {
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.total = self.counts.iter().sum();
        }
        self.counts[bucket(took)] += 1;
        self.total += 1;
    }

    /// Returns the upper end of the bucket in which `percent` of the calls have ended.
    fn at(&self, percent: u32) -> Option<Duration> {
        let wanted = (u64::from(self.total) * u64::from(percent)).div_ceil(100);
        let mut sum = 0_u64;
        let at = self.counts.iter().position(|count| {
            sum += u64::from(*count);
            sum >= wanted
        })?;
        let (doublings, quarters) = (at / 4, at as u64 % 4);
        Some(Duration::from_micros(((5 + quarters) << doublings).div_ceil(4)))
    }
}

fn bucket(took: Duration) -> usize {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
    let doublings = micros.ilog2();
    // The two bits after the first.
    let quarters = ((u128::from(micros) * 4) >> doublings) as usize - 4;
    (4 * doublings as usize + quarters).min(BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_method_has_a_limit_of_its_own_after_enough_calls() {
        let latencies = Latencies::new(95);
        for call in 0..100_u64 {
            assert_eq!(latencies.limit("fast"), None);
            let slow = if call < 94 { 10 } else { 500 };
            latencies.add("fast", Duration::from_millis(slow));
        }
        let limit = latencies.limit("fast").unwrap();
        assert!((500..=625).contains(&limit.as_millis()), "{limit:?}");
        (0..10).for_each(|_| latencies.add("fast", Duration::from_millis(10)));
        (0..90).for_each(|_| latencies.add("fast", Duration::from_millis(10)));
        let limit = latencies.limit("fast").unwrap();
        assert!((10..=13).contains(&limit.as_millis()), "{limit:?}");
        assert_eq!(latencies.limit("other"), None);
    }

    proptest! {
        #[test]
        fn a_limit_is_above_its_latency_by_a_quarter_at_most(micros in 1u64..1_000_000_000) {
            let mut histogram = Histogram::default();
            histogram.add(Duration::from_micros(micros));
            let limit = histogram.at(95).unwrap().as_micros() as u64;
            prop_assert!(limit >= micros && limit <= micros + micros / 4 + 1, "{limit} for {micros}");
        }
    }
}
