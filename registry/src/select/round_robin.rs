//! Turns by weight.

use std::collections::BTreeMap;

use super::{Candidate, share};
use crate::hash::Hash;
use crate::members::InstanceId;

/// Lets the instances take turns, each as often as its weight says. The turns of a heavy one are spread over the round: with
/// the weights 2, 1 and 1 a round is a, b, c, a.
#[derive(Clone, Debug)]
pub struct RoundRobin {
    seed: u64,
    /// Number of the choice.
    turn: u64,
    credits: BTreeMap<InstanceId, Credit>,
}

/// Weight that an instance has collected since it was chosen.
#[derive(Clone, Copy, Debug, Default)]
struct Credit {
    weight: i64,
    /// Last choice at which the instance was a candidate.
    turn: u64,
}

impl RoundRobin {
    /// Creates a chooser. The seed decides who is first among equals, so that many clients do not begin with the same one.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, turn: 0, credits: BTreeMap::new() }
    }

    /// Chooses an instance; `None` if none takes work. The time is in milliseconds since 1970.
    pub fn pick<'a>(
        &mut self,
        candidates: impl IntoIterator<Item = Candidate<'a>>,
        now_ms: u64,
    ) -> Option<Candidate<'a>> {
        self.turn += 1;
        let (mut total, mut count, mut best) = (0, 0, None::<(i64, Candidate<'a>)>);
        for candidate in candidates {
            let weight = i64::from(share(candidate.1, now_ms));
            if weight == 0 {
                continue;
            }
            total += weight;
            count += 1;
            let credit = self.credits.entry(candidate.0.clone()).or_default();
            *credit = Credit { weight: credit.weight + weight, turn: self.turn };
            let weight = credit.weight;
            let is_better = best.is_none_or(|(most, first)| {
                weight > most || (weight == most && self.order(candidate.0) < self.order(first.0))
            });
            if is_better {
                best = Some((weight, candidate));
            }
        }
        if self.credits.len() > count {
            self.credits.retain(|_, credit| credit.turn == self.turn);
        }
        let (_, chosen) = best?;
        self.credits.entry(chosen.0.clone()).and_modify(|credit| credit.weight -= total);
        Some(chosen)
    }

    /// Returns the place of an instance among equals.
    fn order(&self, id: &InstanceId) -> u64 {
        Hash::new().add(&self.seed.to_le_bytes()).add(id.as_str().as_bytes()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::select::testing::{any_weights, count, weighing};

    #[test]
    fn clients_begin_with_different_instances() {
        let members = weighing(&[1; 8]);
        let first = |seed| RoundRobin::new(seed).pick(&members.instances, 0).map(|(id, _)| id);
        let firsts: BTreeSet<_> = (0..100).filter_map(first).collect();
        assert_eq!(firsts.len(), 8);
    }

    #[test]
    fn the_turns_of_a_heavy_instance_are_spread_over_the_round() {
        let (members, mut turns) = (weighing(&[4, 1, 1, 1, 1]), RoundRobin::new(1));
        let round =
            (0..8).map(|_| turns.pick(&members.instances, 0).map_or(9, |(_, instance)| instance.port()));
        let is_heavy: Vec<_> = round.map(|port| port == 0).collect();
        assert_eq!(is_heavy, [true, false, true, false, false, true, false, true]);
    }

    proptest! {
        #[test]
        fn each_round_follows_the_weights_exactly(weights in any_weights(), seed in any::<u64>()) {
            let (members, mut turns) = (weighing(&weights), RoundRobin::new(seed));
            for _ in 0..3 {
                let round = (0..weights.iter().sum()).map(|_| turns.pick(&members.instances, 0).expect("one takes work"));
                prop_assert_eq!(count(&members, round), weights.clone());
            }
        }

        #[test]
        fn nobody_is_forgotten_or_remembered_after_a_change(
            before in any_weights(), after in any_weights(), seed in any::<u64>(), turns_before in 0..20,
        ) {
            let mut turns = RoundRobin::new(seed);
            for _ in 0..turns_before {
                turns.pick(&weighing(&before).instances, 0);
            }
            let members = weighing(&after);
            let total: u32 = after.iter().sum();
            let picks = (0..total * 10).map(|_| turns.pick(&members.instances, 0).expect("one takes work"));
            // Those who were there before may bring a credit or a debt of a round.
            for (count, weight) in count(&members, picks).into_iter().zip(&after) {
                prop_assert!(count.abs_diff(weight * 10) <= 60, "{} for {}", count, weight);
            }
            prop_assert!(turns.credits.len() <= members.len());
        }
    }
}
