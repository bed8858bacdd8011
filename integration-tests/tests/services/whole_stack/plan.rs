//! Plans: what happens to a whole service, as data that proptest can shorten.

use std::fmt;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use zk_mini::testing::{Day, days};

/// Session timeout of everybody.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum number of processes of each kind.
pub(crate) const MAX_INSTANCES: usize = 4;
const MAX_SUBSCRIBERS: usize = 3;
const MAX_CALLERS: usize = 2;

/// Life of a service: who takes part, and what happens in each round. After each round there is a quiet point.
#[derive(Clone)]
pub(crate) struct Plan {
    /// Seed of the server and of all clients.
    pub(crate) seed: u64,
    pub(crate) instances: usize,
    pub(crate) subscribers: usize,
    pub(crate) callers: usize,
    pub(crate) rounds: Vec<Round>,
}

/// Bad day of the registry, and what the processes do meanwhile.
#[derive(Clone)]
pub(crate) struct Round {
    pub(crate) day: Day,
    pub(crate) acts: Vec<(Duration, Act)>,
}

/// Something that processes do. Numbers wrap around.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// An instance starts, unless it runs.
    Start(usize),
    /// An instance leaves: it drains, finishes its calls and closes.
    Stop(usize),
    /// An instance dies, as by kill -9.
    Kill(usize),
    /// An instance falls ill, or recovers.
    Ail(usize, Option<Illness>),
    /// An instance publishes new data.
    Update(usize),
    /// An operator deletes the node of an instance.
    DeleteNode(usize),
    /// A caller makes a call that takes this long.
    Call { caller: usize, takes: Duration, idempotent: bool },
    /// A subscriber leaves.
    Unsubscribe(usize),
    /// A subscriber comes, unless it is there.
    Subscribe(usize),
}

/// Illness of an instance that runs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Illness {
    /// It fails every call at once.
    Fails,
    /// It takes so much longer for every call.
    Slow(Duration),
}

pub(crate) fn plans() -> impl Strategy<Value = Plan> {
    let parties = (1..=MAX_INSTANCES, 1..=MAX_SUBSCRIBERS, 1..=MAX_CALLERS);
    let rounds = vec((days(TIMEOUT), acts()).prop_map(|(day, acts)| Round { day, acts }), 1..=3);
    (any::<u64>(), parties, rounds).prop_map(|(seed, (instances, subscribers, callers), rounds)| Plan {
        seed,
        instances,
        subscribers,
        callers,
        rounds,
    })
}

fn acts() -> impl Strategy<Value = Vec<(Duration, Act)>> {
    // Mostly within a session timeout, at times half an hour later.
    let pause = prop_oneof![
        20 => (0..4_000_u64).prop_map(Duration::from_millis),
        4 => (0..30_u64).prop_map(Duration::from_secs),
        1 => (1..30_u64).prop_map(|minutes| Duration::from_secs(60 * minutes)),
    ];
    let takes = prop_oneof![Just(0_u64), 1..3_000_u64, 1..20_000_u64].prop_map(Duration::from_millis);
    let slow = (1..5_000_u64).prop_map(|by| Illness::Slow(Duration::from_millis(by)));
    let illness = prop::option::of(prop_oneof![Just(Illness::Fails), slow]);
    let act = prop_oneof![
        3 => (0..MAX_INSTANCES).prop_map(Act::Start),
        2 => (0..MAX_INSTANCES).prop_map(Act::Stop),
        2 => (0..MAX_INSTANCES).prop_map(Act::Kill),
        2 => (0..MAX_INSTANCES, illness).prop_map(|(n, illness)| Act::Ail(n, illness)),
        3 => (0..MAX_INSTANCES).prop_map(Act::Update),
        1 => (0..MAX_INSTANCES).prop_map(Act::DeleteNode),
        12 => (0..MAX_CALLERS, takes, any::<bool>())
            .prop_map(|(caller, takes, idempotent)| Act::Call { caller, takes, idempotent }),
        1 => (0..MAX_SUBSCRIBERS).prop_map(Act::Unsubscribe),
        1 => (0..MAX_SUBSCRIBERS).prop_map(Act::Subscribe),
    ];
    vec((pause, act), 0..24)
}

/// The plan as sentences.
impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, instances, subscribers, callers, rounds } = self;
        write!(f, "seed {seed}: {instances} instances, {subscribers} subscribers, {callers} callers")?;
        rounds.iter().zip(1..).try_for_each(|(round, n)| write!(f, "\nround {n}: {round:?}"))
    }
}

impl fmt::Debug for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.day)?;
        self.acts.iter().try_for_each(|(pause, act)| write!(f, "\n     after {pause:?}: {act:?}"))
    }
}
