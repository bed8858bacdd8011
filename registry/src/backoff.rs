//! When to try again. No clock: the time is a parameter; no chance but the seed's.

use zk_wire::Millis;

/// Delays that double up to a limit, each cut by chance to between a half and the whole, so that many who failed
/// together do not come back together.
#[derive(Debug)]
pub(crate) struct Backoff {
    failures: u32,
    most: Millis,
    chance: fastrand::Rng,
}

impl Backoff {
    /// The longest delay.
    pub(crate) const MOST: Millis = Millis(5_000);

    /// The longest delay for what may fail for ever without harm.
    pub(crate) const PATIENT_MOST: Millis = Millis(30_000);

    /// The first retry is at once.
    pub(crate) fn new(seed: u64) -> Self {
        Self { failures: 0, most: Self::MOST, chance: fastrand::Rng::with_seed(seed) }
    }

    /// Delays for one of many that fail by themselves: longer ones, and no retry is at once.
    pub(crate) fn patient(seed: u64) -> Self {
        Self { failures: 1, most: Self::PATIENT_MOST, ..Self::new(seed) }
    }

    /// Counts a failure, and says when to try again.
    pub(crate) fn next(&mut self, now: Millis) -> Millis {
        let failures = self.failures;
        self.failures = failures.saturating_add(1);
        if failures == 0 {
            return now;
        }
        let whole = self.most.0.min(FIRST.0 << (failures - 1).min(10));
        now + Millis(self.chance.u64(whole / 2..=whole))
    }

    /// What failed works again.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

const FIRST: Millis = Millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_a_limit_and_start_over() {
        let mut backoff = Backoff::new(1);
        assert_eq!(backoff.next(Millis(7)), Millis(7));
        assert!((25..=50).contains(&backoff.next(Millis(0)).0));
        assert!((50..=100).contains(&backoff.next(Millis(0)).0));
        for _ in 0..100 {
            backoff.next(Millis(0));
        }
        assert!((2_500..=5_000).contains(&backoff.next(Millis(0)).0));
        backoff.reset();
        assert_eq!(backoff.next(Millis(7)), Millis(7));
    }

    #[test]
    fn who_is_patient_never_tries_at_once_and_waits_longer() {
        let mut backoff = Backoff::patient(1);
        assert!((25..=50).contains(&backoff.next(Millis(0)).0));
        for _ in 0..100 {
            backoff.next(Millis(0));
        }
        assert!((15_000..=30_000).contains(&backoff.next(Millis(0)).0));
    }
}
