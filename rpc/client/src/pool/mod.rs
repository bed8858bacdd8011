//! The links of a client: the ones that exist, the ones that should, and the one that takes the next call. No I/O:
//! inputs and the time go in, outputs come out. `H` is the shell's handle of a link.

mod balancer;
mod endpoint;
mod health;
mod member;
mod outlier;
mod ready;
mod scale;
#[cfg(test)]
mod tests;
mod view;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use common::log::Shown;
use common::{Backoff, Millis};
use fastrand::Rng;
use registry::Instance;
use registry::select::share;
use rpc_wire::Code;

use crate::targets::{Target, Targets, place};
pub use balancer::Balancer;
use endpoint::{Endpoint, spread};
pub use health::EjectionReason;
use health::Health;
use member::Member;
pub(crate) use member::{Demand, Picked, Purpose};
pub(crate) use outlier::FailureCodes;
pub use outlier::OutlierEjection;
use ready::Ready;
use scale::{Scale, Weighed};
pub use view::{InstanceInfo, InstanceState};

/// Age from which on the end of a link counts as the first failure at its address, not as one more in a row. A server that
/// breaks off costs at most four connections a second so; one that is killed now and then is found again soon.
const PROBATION: Millis = Millis(250);

/// Maximum number of failures in a row at an address whose server has said hello and then, politely, that it leaves: it may
/// have been replaced, even many times a second.
const POLITE_FAILURES: u32 = 2;

/// Maximum time that a client with other links waits before it connects to a newcomer, so that not all clients come in the
/// same instant.
const NEWCOMER_JITTER: Millis = Millis(50);

/// Time between two looks at weights that grow.
const WARM_UP_STEP: Millis = Millis(1_000);

/// Time for which the health of a process whose link has ended is remembered.
const REST: Millis = Millis(60_000);

/// Number of a link, from the attempt to connect to the end; never used again.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct LinkId(pub(crate) u64);

/// An event.
#[derive(Debug)]
pub(crate) enum Input<H> {
    /// The addresses have changed.
    Targets(Targets),
    /// A connection was made, and the process `instance` has said hello.
    Connected { id: LinkId, instance: String, handle: H },
    /// No connection was made, or there was no hello.
    Failed { id: LinkId, reason: String },
    /// A link has ended.
    Lost { id: LinkId, reason: Arc<str> },
    /// The server takes no more calls on a link, for a reason with this code.
    GoingAway { id: LinkId, code: Code },
    /// The time of [`Pool::poll_deadline`] has come.
    Timeout,
}

/// A task for the shell.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Output<H> {
    /// Connect, then say [`Input::Connected`] or [`Input::Failed`].
    Connect { id: LinkId, addr: String },
    /// Let the calls of a link finish, close it, then say [`Input::Lost`].
    Close { handle: H },
}

/// End of a call, as far as it concerns the link.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum LinkOutcome {
    /// An answer came that is no failure of the process.
    Answered,
    /// An answer came that says that the process does badly.
    Failed,
    /// No answer came in time: the process may hang.
    Missed,
    /// Another attempt at the call was faster.
    Overtaken,
    /// The call was given up early, or the connection broke.
    Neither,
}

/// Parameters of a [`Pool`].
#[derive(Clone, Debug)]
pub(crate) struct PoolConfig {
    /// Maximum number of calls at a time on one link.
    pub(crate) max_in_flight: usize,
    /// Pauses after failures to connect to an address.
    pub(crate) backoff: Backoff,
    /// Seed of jitter and choices.
    pub(crate) seed: u64,
    pub(crate) balancer: Balancer,
    pub(crate) outliers: OutlierEjection,
    /// Zone of the client, if calls should stay in it.
    pub(crate) zone: Option<String>,
    /// Time in which a new link gets its whole share of the calls.
    pub(crate) warm_up: Millis,
}

#[derive(Debug)]
pub(crate) struct Pool<H> {
    config: PoolConfig,
    random: Rng,
    endpoints: BTreeMap<String, Endpoint>,
    /// The registry cannot be asked, so the processes at the endpoints may be others by now.
    stale: bool,
    links: BTreeMap<LinkId, PoolLink>,
    /// Links that take calls.
    ready: Ready<H>,
    /// Health of processes whose links have ended, by address and identity.
    resting: BTreeMap<(String, String), (Millis, Health)>,
    /// Difference between the time of the registry, since 1970, and the time here.
    wall: Millis,
    /// Time at which weights have grown.
    next_weigh: Option<Millis>,
    next: u64,
    /// Last failure to connect, in words.
    failure: Option<String>,
    outputs: VecDeque<Output<H>>,
}

#[derive(Debug)]
struct PoolLink {
    addr: String,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Connecting,
    Ready {
        instance: String,
        since: Millis,
    },
    /// The link takes no more calls.
    Leaving {
        instance: String,
        in_flight: usize,
    },
}

impl<H: Clone> Pool<H> {
    pub(crate) fn new(config: PoolConfig) -> Self {
        let mut random = Rng::with_seed(config.seed);
        let PoolConfig { balancer, max_in_flight, .. } = config;
        Self {
            ready: Ready::new(balancer, config.outliers.clone(), max_in_flight, random.fork()),
            random,
            config,
            endpoints: BTreeMap::new(),
            stale: false,
            links: BTreeMap::new(),
            resting: BTreeMap::new(),
            wall: Millis(0),
            next_weigh: None,
            next: 0,
            failure: None,
            outputs: VecDeque::new(),
        }
    }

    /// Takes an input; drain [`Pool::poll_output`] before the next.
    pub(crate) fn handle(&mut self, now: Millis, input: Input<H>) {
        match input {
            Input::Targets(targets) => self.handle_targets(now, targets),
            Input::Connected { id, instance, handle } => self.handle_connected(now, id, instance, handle),
            Input::Failed { id, reason } => {
                if let Some(link) = self.forget(id) {
                    self.fail(now, &link.addr, reason);
                }
            }
            Input::Lost { id, reason } => {
                self.handle_departure(now, id, None, &reason);
                drop(self.forget(id));
            }
            Input::GoingAway { id, code } => {
                self.handle_departure(now, id, Some(code), "it is going away");
            }
            Input::Timeout => {
                if self.next_weigh.is_some_and(|at| at <= now) {
                    self.weigh(now);
                }
            }
        }
        self.ready.settle();
        self.connect_where_wanted(now);
    }

    #[must_use]
    pub(crate) fn poll_output(&mut self) -> Option<Output<H>> {
        self.outputs.pop_front()
    }

    /// Returns the time at which [`Input::Timeout`] is due.
    #[must_use]
    pub(crate) fn poll_deadline(&self) -> Option<Millis> {
        let lacking = self.endpoints.values().filter(|endpoint| endpoint.lacks() > 0);
        let retries = lacking.map(|endpoint| endpoint.retry_at);
        retries.chain(self.next_weigh).min()
    }

    /// Chooses the link for a call. Returns `None` if no link is ready or all are full. Give the link back with
    /// [`Pool::finish`].
    pub(crate) fn pick(&mut self, demand: &Demand<'_>) -> Option<(Picked, H)> {
        self.ready.pick(demand)
    }

    /// Notes that a call which goes on has shown that its process works.
    pub(crate) fn prove(&mut self, now: Millis, picked: Picked) {
        self.ready.prove(now, picked);
    }

    /// Gives a link back after a call, with the time to its end if that says something of the process. Returns true if the
    /// process should be asked whether it is alive; [`Pool::heard`] takes the answer.
    #[must_use]
    pub(crate) fn finish(
        &mut self,
        now: Millis,
        picked: Picked,
        outcome: LinkOutcome,
        took: Option<Duration>,
    ) -> bool {
        if self.ready.finish(now, picked, outcome, took) {
            return outcome == LinkOutcome::Missed;
        }
        match self.links.get_mut(&picked.id).map(|link| &mut link.phase) {
            Some(Phase::Leaving { in_flight, .. }) => {
                *in_flight = in_flight.saturating_sub(1);
                outcome == LinkOutcome::Missed
            }
            _ => false,
        }
    }

    /// Returns the number of ejections since the last time.
    pub(crate) fn take_ejections(&mut self) -> u64 {
        self.ready.take_ejections()
    }

    /// Notes that the process at the other end is alive.
    pub(crate) fn heard(&mut self, id: LinkId) {
        self.ready.heard(id);
    }

    /// Returns random numbers for a call, which depend on the seed and on earlier choices only.
    pub(crate) fn random(&mut self) -> Rng {
        self.random.fork()
    }

    /// Returns true if an address is known.
    pub(crate) fn has_targets(&self) -> bool {
        !self.endpoints.is_empty()
    }

    /// Returns the last failure to connect, in words.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Notes that a link's server has taken the connection and says nothing.
    pub(crate) fn silent(&mut self, id: LinkId, reason: String) {
        if self.links.get(&id).is_some_and(|link| matches!(link.phase, Phase::Connecting)) {
            self.failure = Some(reason);
        }
    }

    fn handle_targets(&mut self, now: Millis, Targets { by_addr: targets, stale, unix_ms }: Targets) {
        self.stale = stale;
        self.wall = Millis(unix_ms).since(now);
        let mut reached = BTreeSet::new();
        let mut unwanted = |link: &PoolLink| match (&link.phase, targets.get(&link.addr)) {
            (Phase::Leaving { .. }, _) => false,
            (_, None) => true,
            (Phase::Ready { instance, .. }, Some(target)) => {
                let twice = !reached.insert((link.addr.clone(), instance.clone()));
                !stale && !target.expects(instance) || twice && target.is_known()
            }
            (Phase::Connecting, Some(_)) => false,
        };
        let leaving: Vec<_> =
            self.links.iter().filter(|(_, link)| unwanted(link)).map(|(id, _)| *id).collect();
        for id in leaving {
            if let Some(handle) = self.leave(now, id, false) {
                self.outputs.push_back(Output::Close { handle });
            }
        }
        self.endpoints.retain(|addr, _| targets.contains_key(addr));
        let weight = |entry: &Arc<Instance>| u64::from(share(entry, unix_ms));
        let near = targets.values().flat_map(Target::entries);
        let near = near.filter(|entry| self.config.zone.as_deref() == entry.zone());
        self.ready.want_near(near.map(weight).sum());
        let jitter = if self.ready.is_empty() { Millis(0) } else { NEWCOMER_JITTER };
        for (addr, target) in targets {
            // A change at an address is a new process there: its predecessor's failures do not count.
            match self.endpoints.get_mut(&addr) {
                Some(endpoint) if endpoint.target.has_same_processes(&target) => endpoint.target = target,
                _ => {
                    let begin = now + Millis(self.random.u64(0..=jitter.0));
                    drop(self.endpoints.insert(addr, Endpoint::new(target, begin)));
                }
            }
        }
        self.count_links();
        self.weigh(now);
    }

    fn handle_connected(&mut self, now: Millis, id: LinkId, instance: String, handle: H) {
        let Some(addr) = self.links.get(&id).map(|link| link.addr.clone()) else { return };
        let twice = self.has_link_to(&addr, &instance);
        let Some(endpoint) = self.endpoints.get_mut(&addr) else {
            return self.give_back(id, instance, handle);
        };
        if !self.stale && !endpoint.target.expects(&instance) {
            let reason =
                format!("{addr} is another process ({}) than the registry says", Shown::text(&instance));
            self.give_back(id, instance, handle);
            return self.fail(now, &addr, reason);
        }
        self.failure = None;
        if twice && endpoint.target.is_known() {
            // Any of the workers may accept: another attempt may reach one that has no link yet.
            let at_once = endpoint.spread > 0;
            endpoint.spread = if at_once { endpoint.spread - 1 } else { spread(&endpoint.target) };
            self.give_back(id, instance, handle);
            if !at_once {
                self.back_off(now, &addr);
            }
        } else {
            self.set_phase(id, Phase::Ready { instance: instance.clone(), since: now });
            let rested = self.resting.remove(&(addr.clone(), instance.clone()));
            let health = rested.map(|(_, health)| health).unwrap_or_default();
            let entry = self.endpoints.get(&addr).and_then(|endpoint| endpoint.target.entry(&instance));
            let place = entry.map_or_else(|| addr.clone(), |entry| place(entry));
            let mut member = Member {
                id,
                addr,
                instance,
                place,
                weight: 0,
                is_near: true,
                in_flight: 0,
                misses: 0,
                health,
            };
            let Weighed { weight, is_near, grows } = self.scale(now).weigh(&member);
            (member.weight, member.is_near) = (weight, is_near);
            self.ready.insert(member, handle);
            if grows {
                self.next_weigh.get_or_insert(now + WARM_UP_STEP);
            }
        }
    }

    /// Stops using a link whose server takes no more calls, as it has told with a code, or is gone. The next attempt at the
    /// address waits, even if the link has answered calls: a server that answers and then breaks off must not be connected
    /// to in a loop. After a polite end it waits briefly, however often that happens.
    fn handle_departure(&mut self, now: Millis, id: LinkId, told: Option<Code>, reason: &str) {
        let Some(link) = self.links.get(&id) else { return };
        let Phase::Ready { since, .. } = link.phase else { return };
        let addr = link.addr.clone();
        if let Some(endpoint) = self.endpoints.get_mut(&addr) {
            if now >= since + PROBATION {
                (endpoint.failures, endpoint.retry_at) = (0, now);
                endpoint.spread = spread(&endpoint.target);
            } else if told == Some(Code::UNAVAILABLE) {
                endpoint.failures = endpoint.failures.min(POLITE_FAILURES);
                let pause = self.config.backoff.pause(endpoint.failures, &mut self.random);
                endpoint.retry_at = endpoint.retry_at.min(now + pause);
            }
        }
        drop(self.leave(now, id, told.is_none()));
        self.fail(now, &addr, format!("{addr} ended the connection: {reason}"));
    }

    /// Takes no more calls on a link. Returns its handle, unless it was left before.
    fn leave(&mut self, now: Millis, id: LinkId, lost: bool) -> Option<H> {
        let (member, handle) = self.ready.remove(now, id, lost)?;
        let Member { addr, instance, in_flight, health, .. } = member;
        self.set_phase(id, Phase::Leaving { instance: instance.clone(), in_flight });
        if health.is_notable() {
            self.resting.retain(|_, (since, _)| now.since(*since) < REST);
            self.resting.insert((addr, instance), (now, health));
        }
        Some(handle)
    }

    /// Closes a link that has just been made.
    fn give_back(&mut self, id: LinkId, instance: String, handle: H) {
        self.set_phase(id, Phase::Leaving { instance, in_flight: 0 });
        self.outputs.push_back(Output::Close { handle });
    }

    /// Notes a failure at an address.
    fn fail(&mut self, now: Millis, addr: &str, reason: String) {
        self.failure = Some(reason);
        self.back_off(now, addr);
    }

    fn back_off(&mut self, now: Millis, addr: &str) {
        let Some(endpoint) = self.endpoints.get_mut(addr) else { return };
        if endpoint.failures > 0 && endpoint.retry_at > now {
            // Attempts that began together fail together, and count once.
            return;
        }
        endpoint.retry_at = now + self.config.backoff.pause(endpoint.failures, &mut self.random);
        endpoint.failures = endpoint.failures.saturating_add(1);
    }

    fn connect_where_wanted(&mut self, now: Millis) {
        let mut wanted = Vec::new();
        // Without a link, nobody waits for the sake of others.
        let in_need = self.ready.is_empty();
        let is_due = |endpoint: &Endpoint| endpoint.retry_at <= now || in_need && endpoint.failures == 0;
        for (addr, endpoint) in self.endpoints.iter_mut().filter(|(_, endpoint)| is_due(endpoint)) {
            let lacking = endpoint.lacks();
            (endpoint.there, endpoint.trying) = (endpoint.there + lacking, endpoint.trying + lacking);
            wanted.extend(std::iter::repeat_n(addr.clone(), lacking));
        }
        for addr in wanted {
            let id = LinkId(self.next);
            self.next += 1;
            let link = PoolLink { addr: addr.clone(), phase: Phase::Connecting };
            self.links.insert(id, link);
            self.outputs.push_back(Output::Connect { id, addr });
        }
    }

    fn set_phase(&mut self, id: LinkId, phase: Phase) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let before = mem::replace(&mut link.phase, phase);
        if let Some(endpoint) = self.endpoints.get_mut(&link.addr) {
            endpoint.discount(&before);
            endpoint.count(&link.phase);
        }
    }

    fn forget(&mut self, id: LinkId) -> Option<PoolLink> {
        let link = self.links.remove(&id)?;
        if let Some(endpoint) = self.endpoints.get_mut(&link.addr) {
            endpoint.discount(&link.phase);
        }
        Some(link)
    }

    /// Counts the links of each address anew.
    fn count_links(&mut self) {
        for endpoint in self.endpoints.values_mut() {
            (endpoint.there, endpoint.trying) = (0, 0);
        }
        for link in self.links.values() {
            if let Some(endpoint) = self.endpoints.get_mut(&link.addr) {
                endpoint.count(&link.phase);
            }
        }
    }

    fn has_link_to(&self, addr: &str, identity: &str) -> bool {
        self.links.values().any(|link| {
            link.addr == addr && matches!(&link.phase, Phase::Ready { instance, .. } if instance == identity)
        })
    }

    /// Gives each link that takes calls the weight that the registry says, as much of it as has grown by now.
    fn weigh(&mut self, now: Millis) {
        let Self { endpoints, links, config, ready, wall, .. } = self;
        let scale = Scale { endpoints, links, config, now, unix_ms: (now + *wall).0 };
        let mut any_grows = false;
        ready.weigh(|member| {
            let Weighed { weight, is_near, grows } = scale.weigh(member);
            any_grows |= grows;
            (weight, is_near)
        });
        self.next_weigh = any_grows.then(|| now + WARM_UP_STEP);
    }

    fn scale(&self, now: Millis) -> Scale<'_> {
        let Self { endpoints, links, config, wall, .. } = self;
        Scale { endpoints, links, config, now, unix_ms: (now + *wall).0 }
    }
}
