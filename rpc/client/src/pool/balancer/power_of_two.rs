//! The less loaded of two.

use std::cmp::Ordering;

use common::Millis;
use fastrand::Rng;

use super::Member;
use super::sample::Sample;

/// Chooses the fit one of two members taken at random, or the less loaded if both are. `None` if none of the two is fit.
pub(super) fn choose(
    members: &[Member],
    sample: &Sample,
    now: Millis,
    is_fit: impl Fn(&Member) -> bool,
    random: &mut Rng,
) -> Option<usize> {
    let (first, second) = sample.two(random)?;
    let (one, two) = (&members[first], &members[second]);
    match (is_fit(one), is_fit(two)) {
        // Of equals the first, so that the weights decide while there is no load.
        (true, true) if two.cmp_load(one, now) == Ordering::Less => Some(second),
        (true, _) => Some(first),
        (false, true) => Some(second),
        (false, false) => None,
    }
}
