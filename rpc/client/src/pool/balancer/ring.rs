//! A hash ring with bounded loads.

use registry::select::hash;

use super::Member;

/// Number of points of the heaviest member on the ring.
const POINTS: u64 = 160;

/// Points of all members on a ring of hashes. A key belongs to the first point from its own hash on whose member has room:
/// "Consistent Hashing with Bounded Loads" by Mirrokni, Thorup and Zadimoghaddam.
#[derive(Debug)]
pub(super) struct Ring {
    load_percent: u64,
    /// Hashes and places of members, in the order of the hashes.
    points: Vec<(u64, usize)>,
    /// Places of members whose points have not been made yet: the next key needs them, and many connections may come first.
    next: Option<Vec<usize>>,
    /// Number of times that the points were made.
    #[cfg(test)]
    pub(super) updates: u32,
}

impl Ring {
    pub(super) fn new(load_percent: u32) -> Self {
        Self {
            load_percent: load_percent.max(101).into(),
            points: Vec::new(),
            next: None,
            #[cfg(test)]
            updates: 0,
        }
    }

    /// Takes the places of new members, or of those with new weights.
    pub(super) fn update(&mut self, places: impl Iterator<Item = usize>) {
        self.next = Some(places.collect());
    }

    /// Makes the points. Those of a member depend on its place in the service, on its weight compared with the heaviest, and
    /// on its rank among the processes of that place, so that they are the same for all clients.
    fn make(&mut self, members: &[Member], places: Vec<usize>) {
        let mut members: Vec<_> = places.into_iter().map(|at| (at, &members[at])).collect();
        members.sort_by(|(_, a), (_, b)| (&a.place, &a.instance, a.id).cmp(&(&b.place, &b.instance, b.id)));
        let heaviest = members.iter().map(|(_, member)| u64::from(member.weight)).max().unwrap_or(1);
        self.points.clear();
        let (mut rank, mut name) = (0_u64, "");
        for (at, member) in &members {
            rank = if member.place == name { rank + 1 } else { 0 };
            name = &member.place;
            let weight = u64::from(member.weight);
            let point =
                |nth: u64| (hash([name.as_bytes(), &rank.to_le_bytes()[..], &nth.to_le_bytes()[..]]), *at);
            self.points.extend((0..(POINTS * weight).div_ceil(heaviest)).map(point));
        }
        self.points.sort_unstable();
        #[cfg(test)]
        {
            self.updates += 1;
        }
    }

    /// Returns the place of the member to which a key belongs, while so many calls are on their way to all members, and those
    /// that are in have so much weight together; `None` if no fit member has room.
    pub(super) fn find(
        &mut self,
        members: &[Member],
        (calls, weight_in): (usize, u64),
        key: u64,
        is_fit: impl Fn(&Member) -> bool,
    ) -> Option<usize> {
        if let Some(places) = self.next.take() {
            self.make(members, places);
        }
        if weight_in == 0 {
            return None;
        }
        let all = (calls as u128 + 1) * u128::from(self.load_percent);
        let has_room = |member: &Member| {
            let most = (all * u128::from(member.weight)).div_ceil(u128::from(weight_in) * 100);
            (member.in_flight as u128) < most
        };
        let first = self.points.partition_point(|(hash, _)| *hash < key);
        let (before, after) = self.points.split_at(first);
        let places = after.iter().chain(before).map(|(_, place)| *place);
        places.into_iter().find(|place| is_fit(&members[*place]) && has_room(&members[*place]))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pool::member::testing::weighing;

    fn ring(members: &[Member]) -> Ring {
        let mut ring = Ring::new(125);
        ring.update(0..members.len());
        ring
    }

    fn weight(members: &[Member]) -> u64 {
        members.iter().map(|member| u64::from(member.weight)).sum()
    }

    fn find(ring: &mut Ring, members: &[Member], key: u64) -> Option<usize> {
        let calls = members.iter().map(|member| member.in_flight).sum();
        ring.find(members, (calls, weight(members)), hash([&key.to_le_bytes()[..]]), |_| true)
    }

    #[test]
    fn keys_are_spread_by_weight() {
        let members = weighing(&[100, 100, 50]);
        let (mut ring, mut counts) = (ring(&members), [0_u32; 3]);
        (0..10_000).for_each(|key| counts[find(&mut ring, &members, key).unwrap()] += 1);
        assert!(counts[..2].iter().all(|count| (3_200..4_800).contains(count)), "{counts:?}");
        assert!((1_400..2_600).contains(&counts[2]), "{counts:?}");
    }

    #[test]
    fn who_is_not_fit_gives_its_keys_to_the_others_and_takes_them_back() {
        let members = weighing(&[1; 4]);
        let mut ring = ring(&members);
        for key in 0..100 {
            let own = find(&mut ring, &members, key).unwrap();
            let is_fit = |member: &Member| member.id != members[own].id;
            let other = ring.find(&members, (0, weight(&members)), hash([&key.to_le_bytes()[..]]), is_fit);
            assert!(other.is_some_and(|other| other != own));
        }
        assert_eq!(ring.find(&members, (0, weight(&members)), 7, |_| false), None);
    }

    proptest! {
        #[test]
        fn only_the_keys_of_a_member_that_goes_move(n in 2usize..10, gone in any::<prop::sample::Index>()) {
            let all = weighing(&vec![7; n]);
            let mut left = weighing(&vec![7; n]);
            let gone = left.remove(gone.index(n)).addr;
            let (mut before, mut after) = (ring(&all), ring(&left));
            for key in 0..200 {
                let old = &all[find(&mut before, &all, key).unwrap()].addr;
                let new = &left[find(&mut after, &left, key).unwrap()].addr;
                prop_assert!(old == new || *old == gone, "{} moved from {} to {}", key, old, new);
            }
        }

        #[test]
        fn no_member_gets_much_more_than_its_share(
            weights in proptest::collection::vec(1u32..5, 1..8), keys in 1u64..4, calls in 1usize..200,
        ) {
            let mut members = weighing(&weights);
            let mut ring = ring(&members);
            for call in 0..calls as u64 {
                let at = find(&mut ring, &members, call % keys);
                prop_assert!(at.is_some());
                members[at.unwrap()].in_flight += 1;
            }
            let total: u32 = weights.iter().sum();
            for (member, weight) in members.iter().zip(&weights) {
                let fair = calls as f64 * f64::from(*weight) / f64::from(total);
                prop_assert!(member.in_flight as f64 <= (fair * 1.25).ceil(), "{} of {fair}", member.in_flight);
            }
        }
    }
}
