//! Times of the next attempts. Pure: the time and the seed are parameters.

use common::{Backoff, Millis};

/// Longest pause.
pub(crate) const MAX_PAUSE: Millis = Millis(5_000);

const PAUSES: Backoff = Backoff::new(Millis(50), MAX_PAUSE);

/// Counts failures in a row and schedules the next attempt: at once after the first, then after pauses of up to [`MAX_PAUSE`].
#[derive(Debug)]
pub(crate) struct Patience {
    failures: u32,
    random: fastrand::Rng,
}

impl Patience {
    pub(crate) fn new(seed: u64) -> Self {
        Self { failures: 0, random: fastrand::Rng::with_seed(seed) }
    }

    /// Counts a failure and returns the pause before the next attempt.
    pub(crate) fn pause(&mut self) -> Millis {
        let earlier = self.failures.checked_sub(1);
        self.failures = self.failures.saturating_add(1);
        earlier.map_or(Millis(0), |earlier| PAUSES.pause(earlier, &mut self.random))
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
        let mut patience = Patience::new(1);
        assert_eq!(patience.pause(), Millis(0));
        assert!((25..=50).contains(&patience.pause().0));
        assert!((50..=100).contains(&patience.pause().0));
        for _ in 0..100 {
            patience.pause();
        }
        assert!((2_500..=5_000).contains(&patience.pause().0));
        patience.reset();
        assert_eq!(patience.pause(), Millis(0));
    }
}
