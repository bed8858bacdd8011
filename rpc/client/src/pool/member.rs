//! A link that takes calls, as the choice among such links sees it.

use std::cmp::Ordering;

use common::Millis;

use super::LinkId;
use super::health::Health;

/// Time for which failures in a row make a link look more loaded than it is.
const MEMORY: Millis = Millis(1_000);

/// Maximum number of doublings of the load by failures in a row.
const MAX_DOUBLINGS: u32 = 10;

/// A link that takes calls.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) id: LinkId,
    /// Address of the server.
    pub(crate) addr: String,
    /// Identity of the process.
    pub(crate) instance: String,
    /// Name of its place in the service, which its successor will have.
    pub(crate) place: String,
    /// Share of the calls, compared with the weights of others; 0 takes none.
    pub(crate) weight: u32,
    /// True if it is in the zone of the client.
    pub(crate) is_near: bool,
    pub(crate) in_flight: usize,
    /// Number of calls without an answer in time, since the last sign of life.
    pub(crate) misses: u32,
    pub(crate) health: Health,
}

impl Member {
    /// Returns the load: the calls on their way, and many more after failures in a row, because a server that fails fast
    /// has few of them.
    pub(crate) fn load(&self, now: Millis) -> usize {
        match self.health.in_row {
            0 => self.in_flight,
            in_row if now.since(self.health.failed_at) < MEMORY => {
                (self.in_flight + 1) << in_row.min(MAX_DOUBLINGS)
            }
            _ => self.in_flight,
        }
    }

    /// Compares loads, each divided by its weight.
    pub(crate) fn cmp_load(&self, other: &Self, now: Millis) -> Ordering {
        let load = |member: &Self, weight: u32| member.load(now) as u64 * u64::from(weight);
        load(self, other.weight).cmp(&load(other, self.weight))
    }
}

/// Demands of a call on the link that takes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demand<'a> {
    pub(crate) now: Millis,
    /// Links that are chosen only if there is no other.
    pub(crate) avoid: &'a [LinkId],
    /// Hash of the key of the call, if it has one.
    pub(crate) key: Option<u64>,
    pub(crate) purpose: Purpose,
}

/// Use that is made of a link. It decides about the part in finding out whether an ejected link has recovered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Purpose {
    Call,
    /// A second attempt at a call, which should do better than the first: it is no probe.
    Hedge,
    Stream,
}

/// A place on a link for one call. Give it back with [`Pool::finish`](super::Pool::finish).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Picked {
    pub(crate) id: LinkId,
    /// Number of the probe that the call is, if it is one.
    pub(super) probe: Option<u32>,
}

impl Picked {
    /// Returns true if the call finds out whether an ejected link has recovered.
    pub(crate) fn is_probe(self) -> bool {
        self.probe.is_some()
    }
}

/// Orders links by what speaks against them: smaller is better.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Objection {
    None,
    /// It has left calls unanswered, or the call has just failed there.
    Avoided,
    /// It is ejected.
    Ejected,
    /// It has no room, or takes no calls.
    Impossible,
}

impl Demand<'_> {
    /// Returns what speaks against a link.
    pub(super) fn objection(&self, member: &Member, max_in_flight: usize) -> Objection {
        if member.weight == 0 || member.in_flight >= max_in_flight {
            Objection::Impossible
        } else if !member.health.is_in() {
            Objection::Ejected
        } else if member.misses > 0 || self.avoid.contains(&member.id) {
            Objection::Avoided
        } else {
            Objection::None
        }
    }
}

#[cfg(test)]
pub(super) mod testing {
    //! Members for the tests of all balancers.

    use super::*;

    /// Makes members of these weights, each at an address of its own.
    pub(crate) fn weighing(weights: &[u32]) -> Vec<Member> {
        let member = |(id, &weight): (u64, &u32)| Member {
            id: LinkId(id),
            addr: format!("a:{id}"),
            instance: format!("i{id}"),
            place: format!("a:{id}"),
            weight,
            is_near: true,
            in_flight: 0,
            misses: 0,
            health: Health::default(),
        };
        (0..).zip(weights).map(member).collect()
    }
}
