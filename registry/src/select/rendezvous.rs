//! A choice by key that hardly moves when the members change.

use super::{Candidate, share};
use crate::hash::Hash;
use crate::instance::Instance;

/// Chooses the instance of a key; `None` if none takes work. The time is in milliseconds since 1970.
///
/// All clients choose the same one for the same members, without speaking to each other. An instance that goes gives up only
/// its own keys, one that comes takes only its share of them, and so does one whose weight grows (rendezvous hashing). A key
/// belongs to an address, so an instance keeps its keys when it is registered again.
///
/// ```
/// use std::sync::Arc;
/// use registry::select::by_key;
/// use registry::{Instance, InstanceId, Members};
///
/// let instance = |port: u16| (InstanceId::from(port.to_string().as_str()), Arc::new(Instance::new("10.0.0.1", port)));
/// let three = Members::from_iter([instance(1), instance(2), instance(3)]);
/// let two = Members::from_iter([instance(1), instance(2)]);
/// for user in 0..100u32 {
///     let before = by_key(user.to_string(), &three.instances, 0).expect("one takes work");
///     let after = by_key(user.to_string(), &two.instances, 0).expect("one takes work");
///     assert!(before == after || before.1.port() == 3);
/// }
/// ```
pub fn by_key<'a>(
    key: impl AsRef<[u8]>,
    candidates: impl IntoIterator<Item = Candidate<'a>>,
    now_ms: u64,
) -> Option<Candidate<'a>> {
    let key = Hash::new().add(key.as_ref());
    let scored = candidates.into_iter().filter_map(|candidate| {
        let weight = share(candidate.1, now_ms);
        (weight > 0).then(|| (score(key, candidate.1, weight), candidate))
    });
    // Instances at the same address have the same score: the first keeps the key.
    let best = scored.reduce(|best, next| if next.0 < best.0 { next } else { best });
    best.map(|(_, chosen)| chosen)
}

/// Returns the time of the first event of a process whose rate is the weight, with the hash as chance: the earliest wins.
fn score(key: Hash, instance: &Instance, weight: u32) -> f64 {
    let hash = key.add(instance.host().as_bytes()).add(&instance.port().to_le_bytes()).finish();
    // Above 0 and below 1: the 53 bits that a float has, and a half.
    let chance = ((hash >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    -chance.ln() / f64::from(weight)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::members::Members;
    use crate::select::testing::{any_weights, assert_follows, count, weighing};

    fn pick(key: u32, members: &Members) -> Candidate<'_> {
        by_key(key.to_le_bytes(), &members.instances, 0).expect("one takes work")
    }

    #[test]
    fn a_key_stays_at_its_address_under_another_id() {
        let before = weighing(&[5; 5]);
        let renamed = |(id, instance): Candidate<'_>| (format!("new {id}").as_str().into(), instance.clone());
        let after: Members = before.instances.iter().map(renamed).collect();
        for key in 0..100 {
            assert_eq!(pick(key, &before).1, pick(key, &after).1);
        }
    }

    proptest! {
        #[test]
        fn keys_follow_the_weights(weights in any_weights(), first in any::<u32>()) {
            let members = weighing(&weights);
            let picks = (0..2_000).map(|key| pick(first.wrapping_add(key), &members));
            assert_follows(&count(&members, picks), &weights);
        }

        #[test]
        fn only_keys_of_the_instance_that_changes_move(weights in any_weights(), which in any::<prop::sample::Index>(), more in 1u32..10) {
            let which = which.index(weights.len());
            let mut grown = weights.clone();
            grown[which] += more;
            let (before, after) = (weighing(&weights), weighing(&grown));
            let port = u16::try_from(which).expect("few");
            for key in 0..200 {
                let (old, new) = (pick(key, &before).1.port(), pick(key, &after).1.port());
                prop_assert!(old == new || new == port, "{} moved from {} to {}", key, old, new);
            }
        }
    }
}
