use std::collections::BTreeSet;

use registry::Instance;

use super::*;

mod balancing;
mod outliers;
mod random;
mod reconnects;
mod simulation;

const SECOND: Millis = Millis(1_000);

/// Returns the entry of a process in the registry.
fn entry(identity: &str) -> (String, Arc<Instance>) {
    (identity.to_owned(), Arc::new(Instance::new("host", 1)))
}

fn config() -> PoolConfig {
    PoolConfig {
        max_in_flight: 3,
        backoff: Backoff::new(Millis(100), SECOND),
        seed: 1,
        balancer: Balancer::default(),
        outliers: OutlierEjection::default(),
        zone: None,
        warm_up: Millis(0),
    }
}

/// A pool whose links are their own handles.
struct Driver {
    pool: Pool<LinkId>,
    now: Millis,
    connecting: Vec<(LinkId, String)>,
    closing: Vec<LinkId>,
    /// Calls that have not been finished.
    running: Vec<Picked>,
}

impl Driver {
    fn new() -> Self {
        Self::seeded(1)
    }

    fn seeded(seed: u64) -> Self {
        Self::with(PoolConfig { seed, ..config() })
    }

    fn with(config: PoolConfig) -> Self {
        let (pool, now) = (Pool::new(config), Millis(0));
        Self { pool, now, connecting: Vec::new(), closing: Vec::new(), running: Vec::new() }
    }

    fn input(&mut self, input: Input<LinkId>) {
        self.pool.handle(self.now, input);
        while let Some(output) = self.pool.poll_output() {
            match output {
                Output::Connect { id, addr } => self.connecting.push((id, addr)),
                Output::Close { handle } => self.closing.push(handle),
            }
        }
    }

    fn targets(&mut self, targets: &[(&str, &[&str])]) {
        self.view(targets, false);
    }

    fn stale_targets(&mut self, targets: &[(&str, &[&str])]) {
        self.view(targets, true);
    }

    fn view(&mut self, targets: &[(&str, &[&str])], stale: bool) {
        let target = |instances: &[&str]| Target {
            connections: instances.len(),
            instances: instances.iter().filter(|name| !name.is_empty()).map(|&name| entry(name)).collect(),
            any: None,
        };
        let by_addr = targets.iter().map(|(addr, instances)| ((*addr).into(), target(instances))).collect();
        self.input(Input::Targets(Targets { by_addr, stale, unix_ms: 0 }));
    }

    /// The oldest attempt reaches `instance`.
    fn reach(&mut self, instance: &str) -> LinkId {
        let (id, _) = self.connecting.remove(0);
        self.input(Input::Connected { id, instance: instance.into(), handle: id });
        id
    }

    fn fail(&mut self) {
        let (id, _) = self.connecting.remove(0);
        self.input(Input::Failed { id, reason: "refused".into() });
    }

    fn lose(&mut self, id: LinkId) {
        self.input(Input::Lost { id, reason: "reset".into() });
    }

    fn go_away(&mut self, id: LinkId) {
        self.input(Input::GoingAway { id, code: Code::UNAVAILABLE });
    }

    /// Moves time to the next deadline, and returns how long that took.
    fn wait(&mut self) -> Millis {
        let before = self.now;
        self.now = self.pool.poll_deadline().unwrap().max(self.now);
        self.input(Input::Timeout);
        self.now.since(before)
    }

    /// Waits until an attempt begins, unless one has begun, and returns how long that took.
    fn begin(&mut self) -> Millis {
        if self.connecting.is_empty() { self.wait() } else { Millis(0) }
    }

    /// The only link answers a call.
    fn answer(&mut self, id: LinkId) {
        assert_eq!(self.pick(), Some(id));
        assert!(!self.finish(id, LinkOutcome::Answered));
    }

    /// Finishes the last call on a link.
    fn finish(&mut self, id: LinkId, outcome: LinkOutcome) -> bool {
        self.finish_after(id, outcome, None)
    }

    fn finish_after(&mut self, id: LinkId, outcome: LinkOutcome, took: Option<Duration>) -> bool {
        let at = self.running.iter().rposition(|picked| picked.id == id).unwrap();
        let picked = self.running.remove(at);
        self.pool.finish(self.now, picked, outcome, took)
    }

    /// Reaches `instance` in every attempt that begins without waiting; returns their number.
    fn reach_only(&mut self, instance: &str) -> usize {
        std::iter::from_fn(|| (!self.connecting.is_empty()).then(|| self.reach(instance))).count()
    }

    fn links_to(&self, addr: &str, worker: &str) -> usize {
        let is_it = |link: &&PoolLink| {
            link.addr == addr && matches!(&link.phase, Phase::Ready { instance, .. } if instance == worker)
        };
        self.pool.links.values().filter(is_it).count()
    }

    /// Returns the processes that take calls, in the order of connecting.
    fn reached(&self) -> Vec<&str> {
        let ready = self.pool.links.values().filter_map(|link| match &link.phase {
            Phase::Ready { instance, .. } => Some(instance.as_str()),
            Phase::Connecting | Phase::Leaving { .. } => None,
        });
        ready.collect()
    }

    fn pick(&mut self) -> Option<LinkId> {
        self.pick_but(&[])
    }

    fn pick_but(&mut self, avoid: &[LinkId]) -> Option<LinkId> {
        self.demand(&Demand { now: self.now, avoid, key: None, purpose: Purpose::Call })
    }

    fn demand(&mut self, demand: &Demand<'_>) -> Option<LinkId> {
        let (picked, _) = self.pool.pick(demand)?;
        self.running.push(picked);
        Some(picked.id)
    }

    fn in_flight(&self, id: LinkId) -> usize {
        match self.pool.links.get(&id).map(|link| &link.phase) {
            Some(Phase::Leaving { in_flight, .. }) => *in_flight,
            _ => self.pool.ready.get(id).map_or(0, |member| member.in_flight),
        }
    }

    /// Returns the links that take calls.
    fn ready(&self) -> Vec<LinkId> {
        self.pool.ready.members().iter().map(|member| member.id).collect()
    }
}

#[test]
fn one_connection_is_made_for_each_worker_of_an_address() {
    let mut t = Driver::new();
    t.targets(&[("a", &["1", "2"]), ("b", &["3"])]);
    assert_eq!(t.connecting.iter().map(|(_, addr)| addr.as_str()).collect::<Vec<_>>(), ["a", "a", "b"]);
    assert_eq!(t.pick(), None);
    let id = t.reach("1");
    assert_eq!(t.pick(), Some(id));
}

#[test]
fn the_less_loaded_connection_is_chosen() {
    let mut t = Driver::new();
    t.targets(&[("a", &["1", "2"])]);
    let (first, second) = (t.reach("1"), t.reach("2"));
    let picked: BTreeSet<_> = [t.pick(), t.pick()].into();
    assert_eq!(picked, BTreeSet::from([Some(first), Some(second)]));
    assert!(!t.finish(first, LinkOutcome::Answered));
    assert_eq!(t.pick(), Some(first));
}

#[test]
fn a_full_connection_takes_no_call() {
    let mut t = Driver::new();
    t.targets(&[("a", &[""])]);
    let id = t.reach("1");
    assert_eq!([t.pick(), t.pick(), t.pick(), t.pick()], [Some(id), Some(id), Some(id), None]);
    assert!(!t.finish(id, LinkOutcome::Neither));
    assert_eq!(t.pick(), Some(id));
}

#[test]
fn a_stranger_on_a_reused_port_gets_no_call() {
    let mut t = Driver::new();
    t.targets(&[("a", &["1"])]);
    let stranger = t.reach("other");
    assert_eq!(t.closing, [stranger]);
    assert_eq!(t.pick(), None);
    assert!(t.connecting.is_empty(), "not at once again");
    t.wait();
    t.reach("1");
    assert!(t.pick().is_some());
}

#[test]
fn a_second_connection_to_the_same_worker_is_given_back() {
    let mut t = Driver::new();
    t.targets(&[("a", &["1", "2"])]);
    let first = t.reach("1");
    let second = t.reach("1");
    assert_eq!(t.closing, [second]);
    let other = t.reach("2");
    assert_eq!(t.ready(), [first, other]);
}

#[test]
fn a_worker_that_is_never_reached_is_looked_for_at_a_bounded_pace_for_ever() {
    let mut t = Driver::new();
    t.targets(&[("a", &["1", "2"])]);
    assert_eq!(t.reach_only("1"), 2 + 2 * endpoint::SPREAD_PER_CONNECTION);
    let mut pauses = Vec::new();
    for _ in 0..100 {
        pauses.push(t.wait());
        assert_eq!(t.connecting.len(), 1, "one after the other");
        assert_eq!(t.reach_only("1"), 1 + 2 * endpoint::SPREAD_PER_CONNECTION);
    }
    assert!(pauses[0] >= Millis(50) && pauses[20..].iter().all(|pause| *pause >= Millis(500)), "{pauses:?}");
    t.wait();
    t.reach("2");
    assert_eq!(t.reached(), ["1", "2"]);
    assert_eq!(t.pool.poll_deadline(), None, "every worker has a link");
}

#[test]
fn the_successor_of_a_dead_worker_gets_a_connection() {
    let mut t = Driver::new();
    t.targets(&[("a", &["1", "2"])]);
    let (_survivor, dead) = (t.reach("1"), t.reach("2"));
    t.lose(dead);
    t.wait();
    // The dead worker is still in the registry, so a second worker is looked for; the first answers each time.
    t.reach_only("1");
    t.targets(&[("a", &["1"])]);
    t.targets(&[("a", &["1", "3"])]);
    t.begin();
    assert!(!t.connecting.is_empty(), "no attempt to reach 3; ready {:?}", t.ready());
    t.reach("3");
    assert_eq!(t.reached(), ["1", "3"]);
}

#[test]
fn connections_from_before_the_workers_were_known_are_spread_anew() {
    let mut t = Driver::new();
    let unknown = Target { connections: 2, ..Target::default() };
    t.input(Input::Targets(Targets { by_addr: [("a".into(), unknown)].into(), stale: false, unix_ms: 0 }));
    let (_, second) = (t.reach("1"), t.reach("1"));
    t.targets(&[("a", &["1", "2"])]);
    assert_eq!(t.closing, [second]);
    t.begin();
    t.reach("2");
    assert_eq!(t.reached(), ["1", "2"]);
}

#[test]
fn a_failure_does_not_end_the_search_for_the_other_workers() {
    let mut t = Driver::new();
    t.targets(&[("a", &["1", "2"])]);
    t.reach("1");
    t.fail();
    t.wait();
    t.reach("2");
    assert_eq!(t.reached(), ["1", "2"]);
}

#[test]
fn a_dead_endpoint_is_tried_ever_more_rarely_and_taken_back() {
    let mut t = Driver::new();
    t.targets(&[("a", &["1", "2"])]);
    t.fail();
    t.fail();
    let mut pauses = Vec::new();
    for _ in 0..8 {
        pauses.push(t.wait());
        assert_eq!(t.connecting.len(), 1, "one attempt is enough to find out");
        t.fail();
    }
    assert!(pauses[7] > pauses[0] && pauses[7] <= SECOND, "{pauses:?}");
    t.wait();
    t.reach("1");
    assert_eq!(t.connecting.len(), 1, "it answers: now it gets all its connections");
}

#[test]
fn a_new_process_at_the_address_is_tried_at_once() {
    let mut t = Driver::new();
    t.targets(&[("a", &["1"])]);
    t.fail();
    assert!(t.connecting.is_empty());
    t.targets(&[("a", &["2"])]);
    assert_eq!(t.connecting.len(), 1);
}

/// Pauses after a first failure.
const FIRST_PAUSES: std::ops::RangeInclusive<Millis> = Millis(50)..=Millis(100);

#[test]
fn a_connection_that_lasted_is_made_again_soon_but_not_by_all_clients_at_once() {
    let pauses: BTreeSet<_> = (0..20)
        .map(|seed| {
            let mut t = Driver::seeded(seed);
            t.targets(&[("a", &["1"])]);
            t.fail();
            t.wait();
            t.fail();
            t.wait();
            let id = t.reach("1");
            t.answer(id);
            t.now = t.now + PROBATION;
            t.lose(id);
            assert_eq!(t.pick(), None);
            t.wait()
        })
        .collect();
    assert!(pauses.iter().all(|pause| FIRST_PAUSES.contains(pause)), "{pauses:?}");
    assert!(pauses.len() > 10, "jitter on the first pause: {pauses:?}");
}

#[test]
fn a_server_that_breaks_off_soon_is_tried_ever_more_rarely_even_if_it_answers() {
    let ends: [fn(LinkId) -> Input<LinkId>; 2] = [
        |id| Input::Lost { id, reason: "".into() },
        |id| Input::GoingAway { id, code: Code::RESOURCE_EXHAUSTED },
    ];
    for (end, answers) in ends.into_iter().flat_map(|end| [(end, false), (end, true)]) {
        let mut t = Driver::new();
        t.targets(&[("a", &["1"])]);
        let mut pauses = Vec::new();
        for _ in 0..20 {
            let id = t.reach("1");
            if answers {
                t.answer(id);
            }
            t.input(end(id));
            assert!(t.connecting.is_empty(), "not at once again");
            pauses.push(t.wait());
        }
        assert!(FIRST_PAUSES.contains(&pauses[0]) && pauses[19] >= Millis(500), "{pauses:?}");
        let id = t.reach("1");
        t.now = t.now + PROBATION;
        t.input(end(id));
        let pause = t.wait();
        assert!(FIRST_PAUSES.contains(&pause), "a link that lasted makes up for it: {pause:?}");
    }
}

#[test]
fn with_a_stale_view_any_process_of_the_service_is_welcome_at_a_known_address() {
    let mut t = Driver::new();
    t.targets(&[("a", &["1", "2"])]);
    let (one, two) = (t.reach("1"), t.reach("2"));
    t.stale_targets(&[("a", &["1", "2"])]);
    assert_eq!(t.reached(), ["1", "2"], "nothing is closed");
    t.lose(one);
    t.lose(two);
    t.wait();
    let three = t.reach("3");
    assert_eq!(t.pick(), Some(three));
    t.reach("4");
    assert_eq!(t.reached(), ["3", "4"]);
    t.targets(&[("a", &["3"])]);
    assert_eq!(t.reached(), ["3"], "the registry is back");
}

#[test]
fn the_end_of_one_worker_does_not_slow_down_its_address() {
    let mut t = Driver::new();
    t.targets(&[("a", &["1", "2"])]);
    let (_, leaving) = (t.reach("1"), t.reach("2"));
    t.go_away(leaving);
    t.targets(&[("a", &["1"])]);
    assert_eq!(t.reached(), ["1"]);
    t.targets(&[("a", &["1", "3"])]);
    assert!(t.begin() <= NEWCOMER_JITTER);
    assert_eq!(t.connecting.len(), 1, "almost at once");
}

#[test]
fn an_instance_that_leaves_the_registry_takes_no_call_and_is_closed() {
    let mut t = Driver::new();
    t.targets(&[("a", &["1", "2"]), ("b", &["3"])]);
    let (one, two, three) = (t.reach("1"), t.reach("2"), t.reach("3"));
    t.targets(&[("a", &["2"])]);
    assert_eq!(t.closing, [one, three]);
    assert_eq!(t.ready(), [two]);
    assert!(t.connecting.is_empty());
}

#[test]
fn a_connection_that_goes_away_is_replaced() {
    let mut t = Driver::new();
    t.targets(&[("a", &[""])]);
    let id = t.reach("1");
    t.answer(id);
    t.go_away(id);
    assert_eq!(t.pick(), None);
    let pause = t.wait();
    assert!(FIRST_PAUSES.contains(&pause), "{pause:?}");
    assert_eq!(t.connecting.len(), 1);
    t.lose(id);
    assert_eq!(t.connecting.len(), 1);
}

#[test]
fn an_instance_that_leaves_calls_unanswered_is_avoided_until_it_is_heard() {
    let mut t = Driver::new();
    t.targets(&[("a", &["1", "2"])]);
    let (hung, good) = (t.reach("1"), t.reach("2"));
    let both: BTreeSet<_> = [t.pick(), t.pick()].into();
    assert_eq!(both.len(), 2);
    assert!(t.finish(hung, LinkOutcome::Missed), "ask whether it is alive");
    assert!(!t.finish(good, LinkOutcome::Answered));
    assert_eq!([t.pick(), t.pick(), t.pick()], [Some(good); 3]);
    assert_eq!(t.pick(), Some(hung), "better than nothing");
    assert!(!t.finish(hung, LinkOutcome::Neither));
    assert!(!t.finish(good, LinkOutcome::Neither));
    t.pool.heard(hung);
    assert_eq!(t.pick(), Some(good), "it has just failed");
    t.now = t.now + SECOND;
    assert_eq!(t.pick(), Some(hung));
}

#[test]
fn a_retry_goes_to_another_instance_if_there_is_one() {
    let mut t = Driver::new();
    t.targets(&[("a", &["1"])]);
    let only = t.reach("1");
    assert_eq!(t.pick_but(&[only]), Some(only));
    t.targets(&[("a", &["1"]), ("b", &["2"])]);
    t.begin();
    let other = t.reach("2");
    assert_eq!(t.pick_but(&[only]), Some(other));
}
