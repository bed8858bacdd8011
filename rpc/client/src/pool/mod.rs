//! Which connections there are, should be, and which one takes the next call. No I/O: inputs and the time go
//! in, outputs come out; `H` is whatever the shell holds a connection by.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use common::{Backoff, Millis};
use fastrand::Rng;
use rpc_wire::Shown;

use crate::targets::{Target, Targets};

#[cfg(test)]
mod tests;

/// A connection, or an attempt at one; never used again.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct LinkId(pub(crate) u64);

/// What happened.
#[derive(Debug)]
pub(crate) enum Input<H> {
    /// The registry, or the user, says what there is.
    Targets(Targets),
    /// The hello was exchanged; `instance` is who answered.
    Connected { id: LinkId, instance: String, handle: H },
    /// There was no connection, or no hello.
    Failed { id: LinkId, reason: String },
    /// A connection ended.
    Lost { id: LinkId, reason: Arc<str> },
    /// The server takes no more calls on it.
    GoingAway { id: LinkId },
    /// It is time: see [`Pool::poll_deadline`].
    Timeout,
}

/// What the shell is to do.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Output<H> {
    /// Connect, and say [`Input::Connected`] or [`Input::Failed`].
    Connect { id: LinkId, addr: String },
    /// Let what runs on it finish, then close it, and say [`Input::Lost`].
    Close { handle: H },
}

/// How a call on a connection ended, as far as the connection is concerned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum LinkOutcome {
    /// There was an answer.
    Answered,
    /// There was none in time: the process may hang.
    Missed,
    /// Neither: given up early, or the connection broke.
    Neither,
}

/// Bounds of a [`Pool`].
#[derive(Clone, Debug)]
pub(crate) struct PoolConfig {
    /// Calls at a time on one connection.
    pub(crate) max_in_flight: usize,
    /// Pauses after failures to connect to an address.
    pub(crate) backoff: Backoff,
    /// Of jitter and choices.
    pub(crate) seed: u64,
}

#[derive(Debug)]
pub(crate) struct Pool<H> {
    config: PoolConfig,
    random: Rng,
    endpoints: BTreeMap<String, Endpoint>,
    /// The registry cannot be asked whether the processes at the endpoints are still the same.
    stale: bool,
    links: BTreeMap<LinkId, PoolLink<H>>,
    /// The links that take calls.
    ready: Vec<LinkId>,
    next: u64,
    /// What the last failure to connect was.
    failure: Option<String>,
    outputs: VecDeque<Output<H>>,
}

#[derive(Debug)]
struct Endpoint {
    target: Target,
    /// Attempts in a row that failed, or gave a connection that ended young.
    failures: u32,
    /// Not to be connected to before.
    retry_at: Millis,
    /// How often another attempt may follow at once on one that reached a worker that has a connection already.
    spread: usize,
}

#[derive(Debug)]
struct PoolLink<H> {
    addr: String,
    phase: Phase<H>,
    in_flight: usize,
    /// Calls without an answer in time since the last answer.
    misses: u32,
}

#[derive(Debug)]
enum Phase<H> {
    Connecting,
    Ready {
        instance: String,
        handle: H,
        since: Millis,
    },
    /// Takes no more calls.
    Leaving,
}

impl<H: Clone> Pool<H> {
    pub(crate) fn new(config: PoolConfig) -> Self {
        Self {
            random: Rng::with_seed(config.seed),
            config,
            endpoints: BTreeMap::new(),
            stale: false,
            links: BTreeMap::new(),
            ready: Vec::new(),
            next: 0,
            failure: None,
            outputs: VecDeque::new(),
        }
    }

    /// Takes an input; drain [`Pool::poll_output`] before the next. `now` counts from any fixed moment.
    pub(crate) fn handle(&mut self, now: Millis, input: Input<H>) {
        match input {
            Input::Targets(targets) => self.handle_targets(now, targets),
            Input::Connected { id, instance, handle } => self.handle_connected(now, id, instance, handle),
            Input::Failed { id, reason } => {
                if let Some(link) = self.links.remove(&id) {
                    self.fail(now, &link.addr, reason);
                }
            }
            Input::Lost { id, reason } => {
                self.handle_departure(now, id, &reason);
                self.links.remove(&id);
            }
            Input::GoingAway { id } => self.handle_departure(now, id, "it is going away"),
            Input::Timeout => {}
        }
        self.connect_where_wanted(now);
    }

    #[must_use]
    pub(crate) fn poll_output(&mut self) -> Option<Output<H>> {
        self.outputs.pop_front()
    }

    /// When [`Input::Timeout`] is due, if at all.
    #[must_use]
    pub(crate) fn poll_deadline(&self) -> Option<Millis> {
        let lacking = |(addr, endpoint): &(&String, &Endpoint)| self.lacks(addr, endpoint) > 0;
        self.endpoints.iter().filter(lacking).map(|(_, endpoint)| endpoint.retry_at).min()
    }

    /// Chooses the connection for a call: the less loaded of two taken at random. Those to `avoid`, and one that left
    /// calls unanswered, only if there is no other. Give it back with [`Pool::finish`]. `None`: none is ready,
    /// or all are full.
    pub(crate) fn pick(&mut self, avoid: &[LinkId]) -> Option<(LinkId, H)> {
        let n = self.ready.len();
        let mut chosen = *self.ready.first()?;
        if n > 1 {
            let first = self.random.usize(..n);
            let second = (first + self.random.usize(1..n)) % n;
            let pair = [self.ready[first], self.ready[second]];
            chosen = self.best(&pair, avoid)?;
        }
        if self.rating(chosen, avoid).0 {
            chosen = self.best(&self.ready, avoid)?;
        }
        let link = self.links.get_mut(&chosen)?;
        let Phase::Ready { handle, .. } = &link.phase else { return None };
        if link.in_flight >= self.config.max_in_flight {
            return None;
        }
        link.in_flight += 1;
        Some((chosen, handle.clone()))
    }

    /// Gives back what [`Pool::pick`] gave. True if the process that was called should be asked whether it is
    /// alive; [`Pool::heard`] is the answer.
    #[must_use]
    pub(crate) fn finish(&mut self, id: LinkId, outcome: LinkOutcome) -> bool {
        let Some(link) = self.links.get_mut(&id) else { return false };
        link.in_flight -= 1;
        match outcome {
            LinkOutcome::Answered => link.misses = 0,
            LinkOutcome::Missed => link.misses += 1,
            LinkOutcome::Neither => {}
        }
        outcome == LinkOutcome::Missed
    }

    /// The process at the other end is alive.
    pub(crate) fn heard(&mut self, id: LinkId) {
        if let Some(link) = self.links.get_mut(&id) {
            link.misses = 0;
        }
    }

    /// Returns random numbers for a call, which depend on the seed and on earlier choices only.
    pub(crate) fn random(&mut self) -> Rng {
        self.random.fork()
    }

    /// Whether there is anywhere to connect to.
    pub(crate) fn has_targets(&self) -> bool {
        !self.endpoints.is_empty()
    }

    /// The last failure to connect.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    fn handle_targets(&mut self, now: Millis, Targets { by_addr: targets, stale }: Targets) {
        self.stale = stale;
        let mut reached = BTreeSet::new();
        let mut unwanted = |link: &PoolLink<H>| match (&link.phase, targets.get(&link.addr)) {
            (Phase::Leaving, _) => false,
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
            if let Some(handle) = self.leave(id) {
                self.outputs.push_back(Output::Close { handle });
            }
        }
        self.endpoints.retain(|addr, _| targets.contains_key(addr));
        for (addr, target) in targets {
            // A change at an address is a new process there, and deserves a new try.
            if self.endpoints.get(&addr).is_none_or(|endpoint| endpoint.target != target) {
                self.endpoints.insert(addr, Endpoint::new(target, now));
            }
        }
    }

    fn handle_connected(&mut self, now: Millis, id: LinkId, instance: String, handle: H) {
        let Some(addr) = self.links.get(&id).map(|link| link.addr.clone()) else { return };
        let twice = self.has_link_to(&addr, &instance);
        let Some(endpoint) = self.endpoints.get_mut(&addr) else {
            return self.give_back(id, handle);
        };
        if !self.stale && !endpoint.target.expects(&instance) {
            let reason = format!("{addr} is another process ({}) than the registry says", Shown(&instance));
            self.give_back(id, handle);
            return self.fail(now, &addr, reason);
        }
        if twice && endpoint.target.is_known() {
            // Which worker accepts is chance; another attempt may reach one that has no connection yet.
            let at_once = endpoint.spread > 0;
            endpoint.spread = if at_once { endpoint.spread - 1 } else { spread(&endpoint.target) };
            self.give_back(id, handle);
            if !at_once {
                self.back_off(now, &addr);
            }
        } else if let Some(link) = self.links.get_mut(&id) {
            link.phase = Phase::Ready { instance, handle, since: now };
            self.ready.push(id);
        }
    }

    /// Stops using a link whose server takes no more calls, or is gone. The next attempt there waits, however the link
    /// ended and whatever it answered before: a server that answers and then breaks off must not be called in a loop.
    fn handle_departure(&mut self, now: Millis, id: LinkId, reason: &str) {
        self.ready.retain(|ready| *ready != id);
        let Some(link) = self.links.get_mut(&id) else { return };
        let Phase::Ready { since, .. } = std::mem::replace(&mut link.phase, Phase::Leaving) else { return };
        let addr = link.addr.clone();
        if now >= since + PROBATION
            && let Some(endpoint) = self.endpoints.get_mut(&addr)
        {
            *endpoint = Endpoint::new(endpoint.target.clone(), now);
        }
        self.fail(now, &addr, format!("{addr} ended the connection: {reason}"));
    }

    /// Takes no more calls on a link; its handle, if it has not been left before.
    fn leave(&mut self, id: LinkId) -> Option<H> {
        self.ready.retain(|ready| *ready != id);
        match std::mem::replace(&mut self.links.get_mut(&id)?.phase, Phase::Leaving) {
            Phase::Ready { handle, .. } => Some(handle),
            Phase::Connecting | Phase::Leaving => None,
        }
    }

    /// Closes a connection that has just been made.
    fn give_back(&mut self, id: LinkId, handle: H) {
        drop(self.leave(id));
        self.outputs.push_back(Output::Close { handle });
    }

    /// There is no good connection, and this is why.
    fn fail(&mut self, now: Millis, addr: &str, reason: String) {
        self.failure = Some(reason);
        self.back_off(now, addr);
    }

    fn back_off(&mut self, now: Millis, addr: &str) {
        let Some(endpoint) = self.endpoints.get_mut(addr) else { return };
        if endpoint.retry_at > now {
            // Attempts made together fail together: once is enough.
            return;
        }
        endpoint.retry_at = now + self.config.backoff.pause(endpoint.failures, &mut self.random);
        endpoint.failures = endpoint.failures.saturating_add(1);
    }

    fn connect_where_wanted(&mut self, now: Millis) {
        let mut wanted = Vec::new();
        for (addr, endpoint) in self.endpoints.iter().filter(|(_, endpoint)| endpoint.retry_at <= now) {
            wanted.extend(std::iter::repeat_n(addr.clone(), self.lacks(addr, endpoint)));
        }
        for addr in wanted {
            let id = LinkId(self.next);
            self.next += 1;
            let link = PoolLink { addr: addr.clone(), phase: Phase::Connecting, in_flight: 0, misses: 0 };
            self.links.insert(id, link);
            self.outputs.push_back(Output::Connect { id, addr });
        }
    }

    /// How many connections to begin at an address; after a failure one at a time. Where the workers are known,
    /// no two links lead to the same one, so as many links as workers reach them all.
    fn lacks(&self, addr: &str, endpoint: &Endpoint) -> usize {
        let (mut there, mut trying) = (0, false);
        for link in self.links.values().filter(|link| link.addr == addr) {
            there += usize::from(!matches!(link.phase, Phase::Leaving));
            trying |= matches!(link.phase, Phase::Connecting);
        }
        let lacking = endpoint.target.connections.saturating_sub(there);
        match (endpoint.failures, trying) {
            (0, _) => lacking,
            (_, true) => 0,
            (_, false) => lacking.min(1),
        }
    }

    fn has_link_to(&self, addr: &str, identity: &str) -> bool {
        self.links.values().any(|link| {
            link.addr == addr && matches!(&link.phase, Phase::Ready { instance, .. } if instance == identity)
        })
    }

    fn best(&self, among: &[LinkId], avoid: &[LinkId]) -> Option<LinkId> {
        among.iter().copied().min_by_key(|id| self.rating(*id, avoid))
    }

    /// Smaller is better; true in front says that any other is worth looking for.
    fn rating(&self, id: LinkId, avoid: &[LinkId]) -> (bool, usize) {
        let Some(link) = self.links.get(&id) else { return (true, usize::MAX) };
        let full = link.in_flight >= self.config.max_in_flight;
        (full || link.misses > 0 || avoid.contains(&id), link.in_flight)
    }
}

impl Endpoint {
    fn new(target: Target, retry_at: Millis) -> Self {
        Self { failures: 0, retry_at, spread: spread(&target), target }
    }
}

/// How many attempts may follow each other at once to reach every worker of an address.
fn spread(target: &Target) -> usize {
    SPREAD_PER_CONNECTION * target.connections
}

/// Age of a connection from which on its end counts as the first failure there, not as one more in a row.
const PROBATION: Millis = Millis(1_000);

/// Attempts that may follow each other at once, for each connection that is wanted.
const SPREAD_PER_CONNECTION: usize = 4;
