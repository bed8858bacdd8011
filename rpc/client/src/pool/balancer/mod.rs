//! The ways to choose a link for a call. No I/O: random numbers come from the owner.

mod power_of_two;
mod ring;
mod sample;
mod turns;
mod zone;

use fastrand::Rng;

use super::member::{Demand, Member, Objection};
use ring::Ring;
use sample::Sample;
use turns::Turns;
pub(super) use zone::{ALL, near_share};

/// The way in which a client spreads calls over the instances; see [`ClientBuilder::balancer`](crate::ClientBuilder::balancer).
///
/// All of them follow the weights of the instances in the registry, pass over instances that are ejected, full, or left
/// calls unanswered, and try a call again elsewhere.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Balancer {
    /// The less loaded of two instances, taken at random by weight ("P2C"): the default. Load is the number of calls on
    /// their way, for the weight; failures in a row double it for a second. It suits calls that differ in cost, and instances
    /// that differ in speed.
    #[default]
    PowerOfTwo,
    /// Turns, each instance as often as its weight says. It suits calls that are alike, and spreads also a few of them
    /// evenly.
    RoundRobin,
    /// A random choice by weight, without regard to the load: it suits tests of a share of the traffic.
    WeightedRandom,
    /// The instance of the [key](crate::Call::key) of the call, which hardly moves when instances come and go (a hash ring): it
    /// suits caches. An instance takes at most `load_percent` of the calls on their way that would be its share by weight, and
    /// the next on the ring takes the others; 125 is usual, and less than 101 counts as 101. A call without a key goes to the
    /// less loaded of two.
    ConsistentHash {
        /// Maximum load of an instance, in percent of its fair share.
        load_percent: u32,
    },
}

/// Links among which calls are spread.
#[derive(Debug)]
pub(super) struct Group {
    order: Order,
    /// The links that are in, by weight.
    sample: Sample,
}

#[derive(Debug)]
enum Order {
    PowerOfTwo,
    Turns(Turns),
    Random,
    Ring(Ring),
}

impl Group {
    pub(super) fn new(balancer: Balancer) -> Self {
        let order = match balancer {
            Balancer::PowerOfTwo => Order::PowerOfTwo,
            Balancer::RoundRobin => Order::Turns(Turns::default()),
            Balancer::WeightedRandom => Order::Random,
            Balancer::ConsistentHash { load_percent } => Order::Ring(Ring::new(load_percent)),
        };
        Self { order, sample: Sample::default() }
    }

    /// Takes the members that belong to it, after a change of members or weights; [`Group::sample`] follows.
    pub(super) fn arrange(
        &mut self,
        members: &[Member],
        belongs: impl Fn(&Member) -> bool,
        random: &mut Rng,
    ) {
        let ours = ours(members, &belongs);
        match &mut self.order {
            Order::PowerOfTwo | Order::Random => {}
            Order::Turns(turns) => turns.update(ours.map(|(_, member)| (member.id, member.weight)), random),
            Order::Ring(ring) => ring.update(ours.map(|(at, _)| at)),
        }
    }

    /// Takes the standings of the members that belong to it.
    pub(super) fn sample(&mut self, members: &[Member], belongs: impl Fn(&Member) -> bool) {
        let fit = ours(members, &belongs).filter(|(_, member)| member.health.is_in());
        self.sample = fit.map(|(at, member)| (at, member.weight)).collect();
    }

    #[cfg(test)]
    pub(super) fn ring_updates(&self) -> u32 {
        match &self.order {
            Order::Ring(ring) => ring.updates,
            Order::PowerOfTwo | Order::Turns(_) | Order::Random => 0,
        }
    }

    /// Returns the sum of the weights of the members that are in.
    pub(super) fn weight(&self) -> u64 {
        self.sample.total()
    }

    /// Chooses a member that nothing speaks against, while `calls` are on their way to the group; `None` if the way of
    /// choosing has found none, though there may be one.
    pub(super) fn choose(
        &mut self,
        members: &[Member],
        demand: &Demand<'_>,
        calls: usize,
        max_in_flight: usize,
        random: &mut Rng,
    ) -> Option<usize> {
        let is_fit = |member: &Member| demand.objection(member, max_in_flight) == Objection::None;
        match (&mut self.order, demand.key) {
            (Order::Turns(turns), _) => turns.next(members, is_fit),
            (Order::Random, _) => self.sample.one(random).filter(|at| is_fit(&members[*at])),
            (Order::Ring(ring), Some(key)) => ring.find(members, (calls, self.sample.total()), key, is_fit),
            (Order::PowerOfTwo | Order::Ring(_), _) => {
                power_of_two::choose(members, &self.sample, demand.now, is_fit, random)
            }
        }
    }
}

/// Returns the members of a group that take calls, with their places.
fn ours(members: &[Member], belongs: impl Fn(&Member) -> bool) -> impl Iterator<Item = (usize, &Member)> {
    members.iter().enumerate().filter(move |(_, member)| member.weight > 0 && belongs(member))
}

#[cfg(test)]
mod tests {
    use common::Millis;

    use super::super::health::{EjectionReason, Standing};
    use super::super::member::Purpose;
    use super::super::member::testing::weighing;
    use super::*;

    #[test]
    fn the_rest_of_a_ring_takes_the_calls_of_ejected_members() {
        let (mut members, random) = (weighing(&[1; 4]), &mut Rng::with_seed(1));
        for member in &mut members[..2] {
            let reason = EjectionReason::FailureRate;
            member.health.standing = Standing::Ejected { until: Millis(u64::MAX), reason };
        }
        let mut group = Group::new(Balancer::ConsistentHash { load_percent: 125 });
        group.arrange(&members, |_| true, random);
        group.sample(&members, |_| true);
        for call in 0..100_usize {
            let key = Some(registry::select::hash([&call.to_le_bytes()[..]]));
            let demand = Demand { now: Millis(0), avoid: &[], key, purpose: Purpose::Call };
            let at = group.choose(&members, &demand, call, usize::MAX, random);
            members[at.expect("there is room")].in_flight += 1;
        }
        assert!(members[2..].iter().all(|member| member.in_flight <= 63));
    }
}
