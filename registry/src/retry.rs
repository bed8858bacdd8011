//! Times of the next attempts. Pure: the time and the seed are parameters.

use common::{Backoff, Millis};

/// Longest pause by default.
pub(crate) const MAX_PAUSE: Millis = Millis(5_000);

/// Longest pause of work that may fail for ever without harm.
pub(crate) const MAX_PATIENT_PAUSE: Millis = Millis(30_000);

const FIRST_PAUSE: Millis = Millis(50);

/// Counts failures in a row and schedules the next attempt.
#[derive(Debug)]
pub(crate) struct RetrySchedule {
    failures: u32,
    backoff: Backoff,
    random: fastrand::Rng,
}

impl RetrySchedule {
    /// Retries at once after the first failure, then after pauses of up to [`MAX_PAUSE`].
    pub(crate) fn new(seed: u64) -> Self {
        let backoff = Backoff::new(FIRST_PAUSE, MAX_PAUSE);
        Self { failures: 0, backoff, random: fastrand::Rng::with_seed(seed) }
    }

    /// Pauses after every failure, for up to [`MAX_PATIENT_PAUSE`]: for many parts that fail independently.
    pub(crate) fn patient(seed: u64) -> Self {
        let backoff = Backoff::new(FIRST_PAUSE, MAX_PATIENT_PAUSE);
        Self { failures: 1, backoff, ..Self::new(seed) }
    }

    /// Counts a failure and returns the time of the next attempt.
    pub(crate) fn next(&mut self, now: Millis) -> Millis {
        let earlier = self.failures.checked_sub(1);
        self.failures = self.failures.saturating_add(1);
        match earlier {
            Some(earlier) => now + self.backoff.pause(earlier, &mut self.random),
            None => now,
        }
    }

    /// Forgets the failures after a success.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_start_over_after_a_success() {
        let mut schedule = RetrySchedule::new(1);
        assert_eq!(schedule.next(Millis(7)), Millis(7));
        assert!((25..=50).contains(&schedule.next(Millis(0)).0));
        assert!((50..=100).contains(&schedule.next(Millis(0)).0));
        for _ in 0..100 {
            schedule.next(Millis(0));
        }
        assert!((2_500..=5_000).contains(&schedule.next(Millis(0)).0));
        schedule.reset();
        assert_eq!(schedule.next(Millis(7)), Millis(7));
    }

    #[test]
    fn a_patient_schedule_never_retries_at_once_and_pauses_for_longer() {
        let mut schedule = RetrySchedule::patient(1);
        assert!((25..=50).contains(&schedule.next(Millis(0)).0));
        for _ in 0..100 {
            schedule.next(Millis(0));
        }
        assert!((15_000..=30_000).contains(&schedule.next(Millis(0)).0));
    }
}
