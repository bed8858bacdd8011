//! Random samples by weight.

use fastrand::Rng;

/// Places of members, to be taken at random by weight.
#[derive(Debug, Default)]
pub(super) struct Sample {
    places: Vec<usize>,
    /// Sums of the weights up to and with each place; empty if all weights are equal, which is usual and faster.
    ends: Vec<u64>,
    total: u64,
}

impl FromIterator<(usize, u32)> for Sample {
    fn from_iter<I: IntoIterator<Item = (usize, u32)>>(weights: I) -> Self {
        let (mut places, mut ends, mut total) = (Vec::new(), Vec::<u64>::new(), 0);
        for (place, weight) in weights {
            total += u64::from(weight);
            places.push(place);
            ends.push(total);
        }
        let first = ends.first().copied().unwrap_or(0);
        if ends.iter().zip(1..).all(|(end, nth)| *end == first * nth) {
            ends.clear();
        }
        Self { places, ends, total }
    }
}

impl Sample {
    /// Returns the sum of all weights.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Returns a place; `None` if there is none.
    pub(super) fn one(&self, random: &mut Rng) -> Option<usize> {
        match self.places.len() {
            0 => None,
            1 => self.places.first().copied(),
            n if self.ends.is_empty() => Some(self.places[random.usize(..n)]),
            _ => Some(self.places[self.nth(random.u64(..self.total))]),
        }
    }

    /// Returns two places, which differ if there is more than one; `None` if there is none.
    pub(super) fn two(&self, random: &mut Rng) -> Option<(usize, usize)> {
        let n = self.places.len();
        if n < 2 {
            return self.places.first().map(|place| (*place, *place));
        }
        let (first, second) = if self.ends.is_empty() {
            let first = random.usize(..n);
            (first, (first + random.usize(1..n)) % n)
        } else {
            let first = self.nth(random.u64(..self.total));
            let begin = if first == 0 { 0 } else { self.ends[first - 1] };
            let weight = self.ends[first] - begin;
            // The second as if the first was not there.
            let point = random.u64(..self.total - weight);
            (first, self.nth(if point < begin { point } else { point + weight }))
        };
        Some((self.places[first], self.places[second]))
    }

    /// Returns the number of the place to which a point below the total belongs.
    fn nth(&self, point: u64) -> usize {
        self.ends.partition_point(|end| *end <= point)
    }
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_is_taken_of_nothing_and_one_of_one() {
        let random = &mut Rng::with_seed(1);
        let (none, one) = (Sample::default(), Sample::from_iter([(7, 3)]));
        assert_eq!((none.one(random), none.two(random)), (None, None));
        assert_eq!((one.one(random), one.two(random)), (Some(7), Some((7, 7))));
    }

    proptest! {
        #[test]
        fn places_are_taken_as_often_as_their_weights_say(weights in proptest::collection::vec(1u32..10, 2..8), seed: u64) {
            let sample: Sample = weights.iter().copied().enumerate().collect();
            let (mut random, mut ones, mut firsts) = (Rng::with_seed(seed), vec![0_u32; weights.len()], vec![0_u32; weights.len()]);
            for _ in 0..4_000 {
                ones[sample.one(&mut random).unwrap()] += 1;
                let (first, second) = sample.two(&mut random).unwrap();
                prop_assert_ne!(first, second);
                firsts[first] += 1;
            }
            let total: u32 = weights.iter().sum();
            for ((one, first), weight) in ones.iter().zip(&firsts).zip(&weights) {
                let share = f64::from(*weight) / f64::from(total);
                let deviation = (4_000.0 * share * (1.0 - share)).sqrt();
                for count in [one, first] {
                    prop_assert!((f64::from(*count) - 4_000.0 * share).abs() < 7.0 * deviation, "{:?}", ones);
                }
            }
        }
    }
}
