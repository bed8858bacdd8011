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

    /// Takes the members that belong to it, after a change of members, weights or standings.
    pub(super) fn update(&mut self, members: &[Member], belongs: impl Fn(&Member) -> bool, random: &mut Rng) {
        let ours = || members.iter().enumerate().filter(|(_, member)| member.weight > 0 && belongs(member));
        let fit = ours().filter(|(_, member)| member.health.is_in());
        self.sample = fit.map(|(at, member)| (at, member.weight)).collect();
        match &mut self.order {
            Order::PowerOfTwo | Order::Random => {}
            Order::Turns(turns) => turns.update(ours().map(|(_, member)| (member.id, member.weight)), random),
            Order::Ring(ring) => ring.update(ours()),
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
            (Order::Ring(ring), Some(key)) => ring.find(members, calls, key, is_fit),
            (Order::PowerOfTwo | Order::Ring(_), _) => {
                power_of_two::choose(members, &self.sample, demand.now, is_fit, random)
            }
        }
    }
}
