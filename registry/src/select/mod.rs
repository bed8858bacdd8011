//! Choices of one instance among the members of a service. Pure: the seed and the time are parameters.
//!
//! | | for |
//! | --- | --- |
//! | [`Random`] | calls that are alike, from many clients |
//! | [`RoundRobin`] | the same, spread evenly also over a few calls |
//! | [`by_key`] | calls with a key, such as a user, whose instance has something in a cache |
//! | [`Sticky`] | a client that stays with its instance |
//! | [`prefer_zone`] | before one of these: the instances nearby |
//!
//! All of them respect the weight of an instance at the time of the choice ([`Instance::weight_at`]), and pass over instances
//! that are not [up](Status::Up) or have the weight 0. A choice looks at each member once.
//!
//! ```
//! use std::sync::Arc;
//! use registry::select::{Random, by_key, prefer_zone};
//! use registry::{Instance, InstanceId, Members, unix_ms};
//!
//! // In a program: `subscription.current()`.
//! let near = Instance::new("10.0.0.1", 80).with_zone("a");
//! let far = Instance::new("10.0.0.2", 80).with_zone("b");
//! let instances = [("1", near), ("2", far)];
//! let members: Members = instances.map(|(id, instance)| (InstanceId::from(id), Arc::new(instance))).into_iter().collect();
//!
//! let mut random = Random::new(7); // each client has a seed of its own
//! let (_, chosen) = random.pick(prefer_zone(&members.instances, "a"), unix_ms()).expect("one takes work");
//! assert_eq!(chosen.host(), "10.0.0.1");
//!
//! let (first, _) = by_key("user 4711", &members.instances, unix_ms()).expect("one takes work");
//! let (again, _) = by_key("user 4711", &members.instances, unix_ms()).expect("one takes work");
//! assert_eq!(first, again);
//! ```

mod random;
mod rendezvous;
mod round_robin;
mod sticky;
mod zone;

use std::sync::Arc;

use crate::hash::Hash;
use crate::instance::Instance;
use crate::members::InstanceId;
use crate::status::Status;

pub use crate::warm_up::warm_up;
pub use random::Random;
pub use rendezvous::by_key;
pub use round_robin::RoundRobin;
pub use sticky::Sticky;
pub use zone::prefer_zone;

/// Instance that may be chosen, with its id: what `&members.instances` gives one after another.
pub type Candidate<'a> = (&'a InstanceId, &'a Arc<Instance>);

/// Returns the share of work that an instance should get at a time, in milliseconds since 1970: its weight then, or 0 if it is
/// not [up](Status::Up).
#[must_use]
pub fn share(instance: &Instance, now_ms: u64) -> u32 {
    if instance.status() == Status::Up { instance.weight_at(now_ms) } else { 0 }
}

/// Returns a hash of several parts that is the same in every process and version, for choices by key of one's own.
#[must_use]
pub fn hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    parts.into_iter().fold(Hash::new(), Hash::add).finish()
}

#[cfg(test)]
mod testing {
    //! Members for the tests of all choices.

    use proptest::prelude::*;

    use super::*;
    use crate::members::Members;

    /// Makes members of these weights; the port of each is its place in the list.
    pub(super) fn weighing(weights: &[u32]) -> Members {
        let instance = |(port, &weight): (u16, &u32)| {
            let id = InstanceId::from(format!("i{port}").as_str());
            (id, Arc::new(Instance::new("a", port).with_weight(weight)))
        };
        (0..).zip(weights).map(instance).collect()
    }

    /// Gives one to six weights that are not all 0.
    pub(super) fn any_weights() -> impl Strategy<Value = Vec<u32>> {
        let weights = proptest::collection::vec(0u32..10, 1..6);
        weights.prop_filter("one takes work", |weights| weights.iter().any(|&weight| weight > 0))
    }

    /// Counts the choices by instance.
    pub(super) fn count<'a>(members: &Members, picks: impl Iterator<Item = Candidate<'a>>) -> Vec<u32> {
        let mut counts = vec![0; members.len()];
        picks.for_each(|(_, instance)| counts[usize::from(instance.port())] += 1);
        counts
    }

    /// Checks that random choices follow the weights, to seven standard deviations.
    pub(super) fn assert_follows(counts: &[u32], weights: &[u32]) {
        let picks: f64 = counts.iter().copied().map(f64::from).sum();
        let total: f64 = weights.iter().copied().map(f64::from).sum();
        for (&count, &weight) in counts.iter().zip(weights) {
            let share = f64::from(weight) / total;
            let deviation = (picks * share * (1.0 - share)).sqrt();
            assert!(
                (f64::from(count) - picks * share).abs() <= 7.0 * deviation,
                "{counts:?} for {weights:?}"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::weighing;
    use super::*;

    #[test]
    fn who_takes_no_work_is_never_chosen() {
        let mut members = weighing(&[0, 10, 10, 10]);
        for (port, status) in [(1, Status::Starting), (2, Status::Draining), (3, Status::Down)] {
            let id = InstanceId::from(format!("i{port}").as_str());
            members.instances.insert(id, Arc::new(Instance::new("a", port).with_status(status)));
        }
        let all = &members.instances;
        assert_eq!(Random::new(1).pick(all, 0), None);
        assert_eq!(RoundRobin::new(1).pick(all, 0), None);
        assert_eq!(by_key("x", all, 0), None);
        assert_eq!(Sticky::default().pick(all, 0, |_| None), None);
        assert_eq!(prefer_zone(all, "a").count(), 4, "it only prefers");
    }

    #[test]
    fn who_warms_up_gets_less() {
        let warming = Instance::new("a", 1).with_warm_up(1_000, 100);
        assert_eq!([1_000, 1_050, 1_100].map(|now| share(&warming, now)), [1, 50, 100]);
    }
}
