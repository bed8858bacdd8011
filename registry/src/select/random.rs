//! A random choice by weight.

use fastrand::Rng;

use super::{Candidate, share};

/// Chooses at random, each instance as often as its weight says.
#[derive(Clone, Debug)]
pub struct Random {
    random: Rng,
}

impl Random {
    /// Creates a chooser. The same seed gives the same choices.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { random: Rng::with_seed(seed) }
    }

    /// Chooses an instance; `None` if none takes work. The time is in milliseconds since 1970.
    pub fn pick<'a>(
        &mut self,
        candidates: impl IntoIterator<Item = Candidate<'a>>,
        now_ms: u64,
    ) -> Option<Candidate<'a>> {
        let (mut total, mut chosen) = (0u64, None);
        for candidate in candidates {
            let weight = u64::from(share(candidate.1, now_ms));
            total += weight;
            // Each replaces the choice among those before it with the chance of its weight.
            if weight > 0 && self.random.u64(..total) < weight {
                chosen = Some(candidate);
            }
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::select::testing::{any_weights, assert_follows, count, weighing};

    proptest! {
        #[test]
        fn random_choices_follow_the_weights(weights in any_weights(), seed in any::<u64>()) {
            let (members, mut random) = (weighing(&weights), Random::new(seed));
            let picks = (0..2_000).map(|_| random.pick(&members.instances, 0).expect("one takes work"));
            assert_follows(&count(&members, picks), &weights);
        }
    }
}
