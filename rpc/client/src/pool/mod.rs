//! Which connections there are, should be, and which one takes the next call. No I/O: inputs and the time go
//! in, outputs come out; `H` is whatever the shell holds a connection by.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rpc_wire::Shown;

use crate::targets::{Target, Targets};

#[cfg(test)]
mod tests;

/// A connection, or an attempt at one; never used again.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct ConnId(pub(crate) u64);

/// What happened.
#[derive(Debug)]
pub(crate) enum Input<H> {
    /// The registry, or the user, says what there is.
    Targets(Targets),
    /// The hello was exchanged; `instance` is who answered.
    Connected { conn: ConnId, instance: String, handle: H },
    /// There was no connection, or no hello.
    Failed { conn: ConnId, reason: String },
    /// A connection ended.
    Lost { conn: ConnId, reason: Arc<str> },
    /// The server takes no more calls on it.
    GoingAway { conn: ConnId },
    /// It is time: see [`Pool::poll_deadline`].
    Timeout,
}

/// What the shell is to do.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Output<H> {
    /// Connect, and say [`Input::Connected`] or [`Input::Failed`].
    Connect { conn: ConnId, addr: String },
    /// Let what runs on it finish, then close it, and say [`Input::Lost`].
    Close { handle: H },
}

/// How a call on a connection ended, as far as the connection is concerned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
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
    /// The pause after the first failure to connect; it doubles with each further one.
    pub(crate) backoff_min: Duration,
    /// The longest such pause.
    pub(crate) backoff_max: Duration,
    /// Of jitter and choices.
    pub(crate) seed: u64,
}

#[derive(Debug)]
pub(crate) struct Pool<H> {
    config: PoolConfig,
    rng: fastrand::Rng,
    endpoints: BTreeMap<String, Endpoint>,
    /// The registry cannot be asked whether the processes at the endpoints are still the same.
    stale: bool,
    links: BTreeMap<ConnId, Link<H>>,
    /// The links that take calls.
    ready: Vec<ConnId>,
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
    retry_at: Duration,
    /// How often another attempt may follow at once on one that reached a worker that has a connection already.
    spread: usize,
}

#[derive(Debug)]
struct Link<H> {
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
        since: Duration,
    },
    /// Takes no more calls.
    Leaving,
}

impl<H: Clone> Pool<H> {
    pub(crate) fn new(config: PoolConfig) -> Self {
        Self {
            rng: fastrand::Rng::with_seed(config.seed),
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
    pub(crate) fn handle(&mut self, now: Duration, input: Input<H>) {
        match input {
            Input::Targets(targets) => self.handle_targets(now, targets),
            Input::Connected { conn, instance, handle } => self.handle_connected(now, conn, instance, handle),
            Input::Failed { conn, reason } => {
                if let Some(link) = self.links.remove(&conn) {
                    self.fail(now, &link.addr, reason);
                }
            }
            Input::Lost { conn, reason } => {
                self.handle_departure(now, conn, &reason);
                self.links.remove(&conn);
            }
            Input::GoingAway { conn } => self.handle_departure(now, conn, "it is going away"),
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
    pub(crate) fn poll_deadline(&self) -> Option<Duration> {
        let lacking = |(addr, endpoint): &(&String, &Endpoint)| self.lacks(addr, endpoint) > 0;
        self.endpoints.iter().filter(lacking).map(|(_, endpoint)| endpoint.retry_at).min()
    }

    /// Chooses the connection for a call: the less loaded of two taken at random. Those to `avoid`, and one that left
    /// calls unanswered, only if there is no other. Give it back with [`Pool::finish`]. `None`: none is ready,
    /// or all are full.
    pub(crate) fn pick(&mut self, avoid: &[ConnId]) -> Option<(ConnId, H)> {
        let n = self.ready.len();
        let mut chosen = *self.ready.first()?;
        if n > 1 {
            let first = self.rng.usize(..n);
            let second = (first + self.rng.usize(1..n)) % n;
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
    pub(crate) fn finish(&mut self, conn: ConnId, outcome: Outcome) -> bool {
        let Some(link) = self.links.get_mut(&conn) else { return false };
        link.in_flight -= 1;
        match outcome {
            Outcome::Answered => link.misses = 0,
            Outcome::Missed => link.misses += 1,
            Outcome::Neither => {}
        }
        outcome == Outcome::Missed
    }

    /// The process at the other end is alive.
    pub(crate) fn heard(&mut self, conn: ConnId) {
        if let Some(link) = self.links.get_mut(&conn) {
            link.misses = 0;
        }
    }

    /// Whether there is anywhere to connect to.
    pub(crate) fn has_targets(&self) -> bool {
        !self.endpoints.is_empty()
    }

    /// The last failure to connect.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    fn handle_targets(&mut self, now: Duration, Targets { by_addr: targets, stale }: Targets) {
        self.stale = stale;
        let mut reached = BTreeSet::new();
        let mut unwanted = |link: &Link<H>| match (&link.phase, targets.get(&link.addr)) {
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
        for conn in leaving {
            if let Some(handle) = self.leave(conn) {
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

    fn handle_connected(&mut self, now: Duration, conn: ConnId, instance: String, handle: H) {
        let Some(addr) = self.links.get(&conn).map(|link| link.addr.clone()) else { return };
        let twice = self.has_link_to(&addr, &instance);
        let Some(endpoint) = self.endpoints.get_mut(&addr) else {
            return self.give_back(conn, handle);
        };
        if !self.stale && !endpoint.target.expects(&instance) {
            let reason = format!("{addr} is another process ({}) than the registry says", Shown(&instance));
            self.give_back(conn, handle);
            return self.fail(now, &addr, reason);
        }
        if twice && endpoint.target.is_known() {
            // Which worker accepts is chance; another attempt may reach one that has no connection yet.
            let at_once = endpoint.spread > 0;
            endpoint.spread = if at_once { endpoint.spread - 1 } else { spread(&endpoint.target) };
            self.give_back(conn, handle);
            if !at_once {
                self.back_off(now, &addr);
            }
        } else if let Some(link) = self.links.get_mut(&conn) {
            link.phase = Phase::Ready { instance, handle, since: now };
            self.ready.push(conn);
        }
    }

    /// Stops using a link whose server takes no more calls, or is gone. The next attempt there waits, however the link
    /// ended and whatever it answered before: a server that answers and then breaks off must not be called in a loop.
    fn handle_departure(&mut self, now: Duration, conn: ConnId, reason: &str) {
        self.ready.retain(|ready| *ready != conn);
        let Some(link) = self.links.get_mut(&conn) else { return };
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
    fn leave(&mut self, conn: ConnId) -> Option<H> {
        self.ready.retain(|ready| *ready != conn);
        match std::mem::replace(&mut self.links.get_mut(&conn)?.phase, Phase::Leaving) {
            Phase::Ready { handle, .. } => Some(handle),
            Phase::Connecting | Phase::Leaving => None,
        }
    }

    /// Closes a connection that has just been made.
    fn give_back(&mut self, conn: ConnId, handle: H) {
        drop(self.leave(conn));
        self.outputs.push_back(Output::Close { handle });
    }

    /// There is no good connection, and this is why.
    fn fail(&mut self, now: Duration, addr: &str, reason: String) {
        self.failure = Some(reason);
        self.back_off(now, addr);
    }

    fn back_off(&mut self, now: Duration, addr: &str) {
        let chance = self.rng.f64();
        let Some(endpoint) = self.endpoints.get_mut(addr) else { return };
        if endpoint.retry_at > now {
            // Attempts made together fail together: once is enough.
            return;
        }
        endpoint.failures = endpoint.failures.saturating_add(1);
        let pause = self.config.backoff_min.saturating_mul(1 << (endpoint.failures - 1).min(16));
        endpoint.retry_at = now + pause.min(self.config.backoff_max).mul_f64(0.5 + chance / 2.0);
    }

    fn connect_where_wanted(&mut self, now: Duration) {
        let mut wanted = Vec::new();
        for (addr, endpoint) in self.endpoints.iter().filter(|(_, endpoint)| endpoint.retry_at <= now) {
            wanted.extend(std::iter::repeat_n(addr.clone(), self.lacks(addr, endpoint)));
        }
        for addr in wanted {
            let conn = ConnId(self.next);
            self.next += 1;
            let link = Link { addr: addr.clone(), phase: Phase::Connecting, in_flight: 0, misses: 0 };
            self.links.insert(conn, link);
            self.outputs.push_back(Output::Connect { conn, addr });
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

    fn best(&self, among: &[ConnId], avoid: &[ConnId]) -> Option<ConnId> {
        among.iter().copied().min_by_key(|conn| self.rating(*conn, avoid))
    }

    /// Smaller is better; true in front says that any other is worth looking for.
    fn rating(&self, conn: ConnId, avoid: &[ConnId]) -> (bool, usize) {
        let Some(link) = self.links.get(&conn) else { return (true, usize::MAX) };
        let full = link.in_flight >= self.config.max_in_flight;
        (full || link.misses > 0 || avoid.contains(&conn), link.in_flight)
    }
}

impl Endpoint {
    fn new(target: Target, retry_at: Duration) -> Self {
        Self { failures: 0, retry_at, spread: spread(&target), target }
    }
}

/// How many attempts may follow each other at once to reach every worker of an address.
fn spread(target: &Target) -> usize {
    SPREAD_PER_CONNECTION * target.connections
}

/// Age of a connection from which on its end counts as the first failure there, not as one more in a row.
const PROBATION: Duration = Duration::from_secs(1);

/// Attempts that may follow each other at once, for each connection that is wanted.
const SPREAD_PER_CONNECTION: usize = 4;
