//! Pauses between attempts.

use crate::Millis;

/// Pauses that double with every failure up to a limit, each cut by chance to between a half and the whole, so that
/// clients that failed together do not come back together.
///
/// The owner keeps the count of failures and the random numbers: a core stays a function of its inputs and its seed.
///
/// ```
/// use zk_mini_common::{Backoff, Millis};
///
/// const BACKOFF: Backoff = Backoff::new(Millis(50), Millis(5_000));
/// let mut random = fastrand::Rng::with_seed(7);
/// assert!((25..=50).contains(&BACKOFF.pause(0, &mut random).0));
/// assert!((50..=100).contains(&BACKOFF.pause(1, &mut random).0));
/// assert!((2_500..=5_000).contains(&BACKOFF.pause(u32::MAX, &mut random).0));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    least: Millis,
    most: Millis,
}

impl Backoff {
    /// Begins with pauses of up to `least` and grows them up to `most`.
    #[must_use]
    pub const fn new(least: Millis, most: Millis) -> Self {
        Self { least, most }
    }

    /// Returns the pause after `failures` earlier ones in a row.
    pub fn pause(&self, failures: u32, random: &mut fastrand::Rng) -> Millis {
        let factor = 1_u64.checked_shl(failures).unwrap_or(u64::MAX);
        let whole = self.least.0.saturating_mul(factor).min(self.most.0);
        Millis(random.u64(whole / 2..=whole))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_limit() {
        let backoff = Backoff::new(Millis(100), Millis(1_000));
        let mut random = fastrand::Rng::with_seed(1);
        for (failures, whole) in
            [(0, 100), (1, 200), (2, 400), (3, 800), (4, 1_000), (63, 1_000), (64, 1_000)]
        {
            for _ in 0..100 {
                let pause = backoff.pause(failures, &mut random).0;
                assert!((whole / 2..=whole).contains(&pause), "{failures}: {pause}");
            }
        }
    }

    #[test]
    fn no_pause_at_all_is_possible() {
        let none = Backoff::new(Millis(0), Millis(0));
        assert_eq!(none.pause(9, &mut fastrand::Rng::with_seed(1)), Millis(0));
    }
}
