//! The links of a pool as its users see them.

use std::collections::BTreeSet;
use std::time::Duration;

use common::Millis;

use super::health::{EjectionReason, Standing};
use super::{Phase, Pool};

/// An instance as a client sees it now; see [`Client::instances`](crate::Client::instances).
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct InstanceInfo {
    /// Address that the client connects to.
    pub addr: String,
    /// Identity of the process, from its hello; `None` while there is no connection.
    pub instance: Option<String>,
    /// Zone, if the registry names one.
    pub zone: Option<String>,
    /// Share of the calls, compared with the weights of the others; 0 while it takes none.
    pub weight: u32,
    /// Part that it has in the work.
    pub state: InstanceState,
    /// Number of calls on their way.
    pub in_flight: usize,
    /// Moving average of the time to an answer; `None` before the first one.
    pub latency: Option<Duration>,
    /// Number of ejections so far.
    pub ejections: u32,
    /// Number of attempts that were sent to the process.
    pub sent: u64,
    /// Number of attempts with a result.
    pub ok: u64,
    /// Number of attempts that ended without a result: with an answer that is a failure, or with none.
    pub failed: u64,
}

/// Part that an instance has in the work.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InstanceState {
    /// There is no connection, and an attempt to make one follows.
    Unreachable {
        /// Time to the attempt.
        retry_in: Duration,
    },
    /// A connection is being made.
    Connecting,
    /// It gets calls.
    Ready,
    /// It does worse than the others, and gets no calls for a while.
    Ejected {
        /// Time to the call that finds out whether it has recovered.
        probe_in: Duration,
        /// Reason of the ejection.
        reason: EjectionReason,
    },
    /// One call finds out whether it has recovered.
    Probing {
        /// Reason of the ejection.
        reason: EjectionReason,
    },
    /// It finishes its calls, and gets no more.
    Leaving,
}

impl<H: Clone> Pool<H> {
    /// Returns what there is to know of all links, and of the addresses without one.
    pub(crate) fn view(&self, now: Millis) -> Vec<InstanceInfo> {
        let linked = self.links.iter().map(|(id, link)| {
            let info = self.unlinked(&link.addr, InstanceState::Connecting);
            match (&link.phase, self.ready.get(*id)) {
                (Phase::Leaving { instance, in_flight }, _) => InstanceInfo {
                    instance: Some(instance.clone()),
                    in_flight: *in_flight,
                    state: InstanceState::Leaving,
                    ..info
                },
                (Phase::Ready { instance, .. }, Some(member)) => {
                    let entry =
                        self.endpoints.get(&link.addr).and_then(|endpoint| endpoint.target.entry(instance));
                    InstanceInfo {
                        instance: Some(instance.clone()),
                        zone: entry.and_then(|entry| entry.zone()).map(ToOwned::to_owned),
                        weight: member.weight,
                        state: state(member.health.standing, now),
                        in_flight: member.in_flight,
                        latency: member.health.latency(),
                        ejections: member.health.ejections,
                        ..info
                    }
                }
                _ => info,
            }
        });
        let linked_addrs: BTreeSet<&str> = self.links.values().map(|link| link.addr.as_str()).collect();
        let down = self.endpoints.iter().filter(|(addr, _)| !linked_addrs.contains(addr.as_str()));
        let down = down.map(|(addr, endpoint)| {
            self.unlinked(addr, InstanceState::Unreachable { retry_in: endpoint.retry_at.since(now).into() })
        });
        linked.chain(down).collect()
    }

    fn unlinked(&self, addr: &str, state: InstanceState) -> InstanceInfo {
        let entry = self.endpoints.get(addr).and_then(|endpoint| endpoint.target.entries().next());
        InstanceInfo {
            addr: addr.to_owned(),
            instance: None,
            zone: entry.and_then(|entry| entry.zone()).map(ToOwned::to_owned),
            weight: 0,
            state,
            in_flight: 0,
            latency: None,
            ejections: 0,
            sent: 0,
            ok: 0,
            failed: 0,
        }
    }
}

fn state(standing: Standing, now: Millis) -> InstanceState {
    match standing {
        Standing::In => InstanceState::Ready,
        Standing::Ejected { until, reason } => {
            InstanceState::Ejected { probe_in: until.since(now).into(), reason }
        }
        Standing::Probing { reason, .. } => InstanceState::Probing { reason },
    }
}
