//! Turns by weight.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use fastrand::Rng;

use super::super::LinkId;
use super::Member;

/// Time between two turns of a member of weight 1.
const ROUND: u128 = 1 << 32;

/// Turns: each member has its next one at a time of its own, and the earliest is next (stride scheduling).
#[derive(Debug, Default)]
pub(super) struct Turns {
    queue: BinaryHeap<Reverse<Turn>>,
    /// Turns of members that were passed over; kept for its memory.
    passed: Vec<Turn>,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Turn {
    at: u128,
    id: LinkId,
    /// Time to the turn after it.
    stride: u128,
}

impl Turns {
    /// Takes new members or weights. Those who were there keep their place in the round.
    pub(super) fn update(&mut self, members: impl Iterator<Item = (LinkId, u32)>, random: &mut Rng) {
        let known: BTreeMap<LinkId, Turn> = self.queue.drain().map(|Reverse(turn)| (turn.id, turn)).collect();
        let start = known.values().map(|turn| turn.at).min().unwrap_or(0);
        self.queue.extend(members.map(|(id, weight)| {
            let stride = ROUND / u128::from(weight.max(1));
            // Newcomers begin anywhere in their stride, so that clients do not begin with the same one.
            let at = match known.get(&id) {
                Some(turn) => turn.at.min(start + stride),
                None => start + random.u128(..stride.max(1)),
            };
            Reverse(Turn { at, id, stride })
        }));
    }

    /// Returns the place of the member whose turn it is. One that is not fit loses its turn; `None` if none is fit.
    pub(super) fn next(&mut self, members: &[Member], is_fit: impl Fn(&Member) -> bool) -> Option<usize> {
        let mut chosen = None;
        while let Some(Reverse(turn)) = self.queue.pop() {
            self.passed.push(Turn { at: turn.at + turn.stride, ..turn });
            let at = members.binary_search_by_key(&turn.id, |member| member.id).ok();
            chosen = at.filter(|at| is_fit(&members[*at]));
            if chosen.is_some() {
                break;
            }
        }
        self.queue.extend(self.passed.drain(..).map(Reverse));
        chosen
    }
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;
    use proptest::prelude::*;

    use super::*;
    use crate::pool::member::testing::weighing;

    fn turns(members: &[Member], seed: u64) -> Turns {
        let mut turns = Turns::default();
        turns.update(members.iter().map(|member| (member.id, member.weight)), &mut Rng::with_seed(seed));
        turns
    }

    #[test]
    fn who_is_not_fit_is_passed_over() {
        let members = weighing(&[1, 1, 1]);
        let mut turns = turns(&members, 1);
        let picks: Vec<_> = (0..6).map(|_| turns.next(&members, |member| member.id != LinkId(1))).collect();
        assert_eq!(picks.iter().filter(|at| **at == Some(0)).count(), 3, "{picks:?}");
        assert_eq!(turns.next(&members, |_| false), None);
        assert!(turns.next(&members, |_| true).is_some());
    }

    proptest! {
        #[test]
        fn every_stretch_of_turns_follows_the_weights(
            weights in proptest::collection::vec(1u32..10, 1..8), seed: u64, skipped in 0usize..50,
        ) {
            let members = weighing(&weights);
            let (mut turns, total) = (turns(&members, seed), weights.iter().sum::<u32>());
            for _ in 0..skipped {
                turns.next(&members, |_| true);
            }
            let mut counts = vec![0; weights.len()];
            for _ in 0..total * 10 {
                counts[turns.next(&members, |_| true).unwrap()] += 1;
            }
            for (count, weight) in counts.iter().zip(&weights) {
                // Each may be before or behind by one turn, which moves the end of the stretch for the others.
                let slack = 2 + weight * weights.len() as u32 / total;
                prop_assert!((weight * 10).abs_diff(*count) <= slack, "{:?} for {:?}", counts, weights);
            }
        }

        #[test]
        fn a_newcomer_gets_its_share_and_no_more(weight in 1u32..10, before in 0usize..1_000, seed: u64) {
            let mut members = weighing(&[5, 5, weight]);
            let newcomer = members.pop().unwrap();
            let mut turns = turns(&members, seed);
            for _ in 0..before {
                turns.next(&members, |_| true);
            }
            members.push(newcomer);
            turns.update(members.iter().map(|member| (member.id, member.weight)), &mut Rng::with_seed(seed));
            let own = (0..(10 + weight) * 10).filter(|_| turns.next(&members, |_| true) == Some(2)).count();
            prop_assert!((weight as usize * 10).abs_diff(own) <= 2, "{own}");
        }
    }
}
