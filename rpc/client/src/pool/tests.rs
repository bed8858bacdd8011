use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

const SECOND: Duration = Duration::from_secs(1);

/// A pool whose connections are held by their ids.
struct Driver {
    pool: Pool<ConnId>,
    now: Duration,
    connecting: Vec<(ConnId, String)>,
    closing: Vec<ConnId>,
}

impl Driver {
    fn new() -> Self {
        let config = PoolConfig { max_in_flight: 3, backoff_min: SECOND / 10, backoff_max: SECOND, seed: 1 };
        Self { pool: Pool::new(config), now: Duration::ZERO, connecting: Vec::new(), closing: Vec::new() }
    }

    fn input(&mut self, input: Input<ConnId>) {
        self.pool.handle_input(self.now, input);
        while let Some(output) = self.pool.poll_output() {
            match output {
                Output::Connect { conn, addr } => self.connecting.push((conn, addr)),
                Output::Close { handle } => self.closing.push(handle),
            }
        }
    }

    fn targets(&mut self, targets: &[(&str, &[&str])]) {
        let target = |instances: &[&str]| Target {
            connections: instances.len(),
            instances: instances.iter().filter(|name| !name.is_empty()).map(|&name| name.into()).collect(),
        };
        let targets = targets.iter().map(|(addr, instances)| ((*addr).into(), target(instances))).collect();
        self.input(Input::Targets(targets));
    }

    /// The oldest attempt reaches `instance`.
    fn reach(&mut self, instance: &str) -> ConnId {
        let (conn, _) = self.connecting.remove(0);
        self.input(Input::Connected { conn, instance: instance.into(), handle: conn });
        conn
    }

    fn fail(&mut self) {
        let (conn, _) = self.connecting.remove(0);
        self.input(Input::Failed { conn, reason: "refused".into() });
    }

    /// Moves time to the next deadline.
    fn wait(&mut self) {
        self.now = self.pool.poll_deadline().unwrap().max(self.now);
        self.input(Input::Timeout);
    }

    /// The connection, the only one, answers a call.
    fn answer(&mut self, conn: ConnId) {
        assert_eq!(self.pick(), Some(conn));
        assert!(!self.pool.finish(conn, Outcome::Answered));
    }

    /// Reaches `instance` in every attempt, as long as there is one without waiting; how many there were.
    fn reach_only(&mut self, instance: &str) -> usize {
        std::iter::from_fn(|| (!self.connecting.is_empty()).then(|| self.reach(instance))).count()
    }

    fn links_to(&self, addr: &str, worker: &str) -> usize {
        let is_it = |link: &&Link<ConnId>| {
            link.addr == addr && matches!(&link.phase, Phase::Ready { instance, .. } if instance == worker)
        };
        self.pool.links.values().filter(is_it).count()
    }

    /// Who takes calls, in the order of connecting.
    fn reached(&self) -> Vec<&str> {
        let ready = self.pool.links.values().filter_map(|link| match &link.phase {
            Phase::Ready { instance, .. } => Some(instance.as_str()),
            Phase::Connecting | Phase::Leaving => None,
        });
        ready.collect()
    }

    fn pick(&mut self) -> Option<ConnId> {
        self.pool.pick(None).map(|(conn, _)| conn)
    }
}

#[test]
fn one_connection_is_made_for_each_worker_of_an_address() {
    let mut t = Driver::new();
    t.targets(&[("a", &["1", "2"]), ("b", &["3"])]);
    assert_eq!(t.connecting.iter().map(|(_, addr)| addr.as_str()).collect::<Vec<_>>(), ["a", "a", "b"]);
    assert_eq!(t.pick(), None);
    let conn = t.reach("1");
    assert_eq!(t.pick(), Some(conn));
}

#[test]
fn the_less_loaded_connection_is_chosen() {
    let mut t = Driver::new();
    t.targets(&[("a", &["1", "2"])]);
    let (first, second) = (t.reach("1"), t.reach("2"));
    let picked: BTreeSet<_> = [t.pick(), t.pick()].into();
    assert_eq!(picked, BTreeSet::from([Some(first), Some(second)]));
    assert!(!t.pool.finish(first, Outcome::Answered));
    assert_eq!(t.pick(), Some(first));
}

#[test]
fn a_full_connection_takes_no_call() {
    let mut t = Driver::new();
    t.targets(&[("a", &[""])]);
    let conn = t.reach("1");
    assert_eq!([t.pick(), t.pick(), t.pick(), t.pick()], [Some(conn), Some(conn), Some(conn), None]);
    assert!(!t.pool.finish(conn, Outcome::Neither));
    assert_eq!(t.pick(), Some(conn));
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
    assert_eq!(t.pool.ready, [first, other]);
}

#[test]
fn a_worker_that_chance_never_reaches_is_looked_for_at_a_bounded_pace_for_ever() {
    let mut t = Driver::new();
    t.targets(&[("a", &["1", "2"])]);
    assert_eq!(t.reach_only("1"), 2 + 2 * SPREAD_PER_CONNECTION);
    let mut pauses = Vec::new();
    for _ in 0..100 {
        let before = t.now;
        t.wait();
        pauses.push(t.now - before);
        assert_eq!(t.connecting.len(), 1, "one after the other");
        assert_eq!(t.reach_only("1"), 1 + 2 * SPREAD_PER_CONNECTION);
    }
    assert!(pauses[0] >= SECOND / 20 && pauses[20..].iter().all(|pause| *pause >= SECOND / 2), "{pauses:?}");
    t.wait();
    t.reach("2");
    assert_eq!(t.reached(), ["1", "2"]);
    assert_eq!(t.pool.poll_deadline(), None, "nobody else is to be found");
}

#[test]
fn the_successor_of_a_dead_worker_gets_a_connection() {
    let mut t = Driver::new();
    t.targets(&[("a", &["1", "2"])]);
    let (_survivor, dead) = (t.reach("1"), t.reach("2"));
    t.input(Input::Lost { conn: dead });
    t.wait();
    // The dead one is still in the registry, so a second worker is looked for; the first answers each time.
    t.reach_only("1");
    t.targets(&[("a", &["1"])]);
    t.targets(&[("a", &["1", "3"])]);
    assert!(!t.connecting.is_empty(), "nobody ever connects to 3; ready {:?}", t.pool.ready);
    t.reach("3");
    assert_eq!(t.reached(), ["1", "3"]);
}

#[test]
fn connections_from_before_the_workers_were_known_are_spread_anew() {
    let mut t = Driver::new();
    let unknown = Target { connections: 2, instances: BTreeSet::new() };
    t.input(Input::Targets(Targets::from([("a".into(), unknown)])));
    let (_, second) = (t.reach("1"), t.reach("1"));
    t.targets(&[("a", &["1", "2"])]);
    assert_eq!(t.closing, [second]);
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
        let before = t.now;
        t.wait();
        pauses.push(t.now - before);
        assert_eq!(t.connecting.len(), 1, "one attempt is enough to find out");
        t.fail();
    }
    assert!(pauses[7] > pauses[0] && pauses[7] <= SECOND, "{pauses:?}");
    t.wait();
    t.reach("1");
    assert_eq!(t.connecting.len(), 1, "it answers: now all connections that it should have");
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

#[test]
fn a_lost_connection_is_made_again() {
    let mut t = Driver::new();
    t.targets(&[("a", &["1"])]);
    let conn = t.reach("1");
    t.answer(conn);
    t.input(Input::Lost { conn });
    assert_eq!(t.pick(), None);
    t.wait();
    assert_eq!(t.now, AFTER_LOSS);
    let conn = t.reach("1");
    t.now += PROBATION;
    t.input(Input::Lost { conn });
    t.wait();
    assert_eq!(t.now, AFTER_LOSS + PROBATION + AFTER_LOSS, "having lasted is as good as an answer");
}

#[test]
fn one_that_only_greets_is_tried_ever_more_rarely() {
    let ends: [fn(ConnId) -> Input<ConnId>; 2] =
        [|conn| Input::Lost { conn }, |conn| Input::GoingAway { conn }];
    for end in ends {
        let mut t = Driver::new();
        t.targets(&[("a", &["1"])]);
        let mut pauses = Vec::new();
        for _ in 0..20 {
            let conn = t.reach("1");
            t.input(end(conn));
            assert!(t.connecting.is_empty(), "not at once again");
            let before = t.now;
            t.wait();
            pauses.push(t.now - before);
        }
        assert!(pauses[0] >= SECOND / 20 && pauses[19] >= SECOND / 2, "{pauses:?}");
        let conn = t.reach("1");
        t.answer(conn);
        t.input(end(conn));
        let before = t.now;
        t.wait();
        assert_eq!(t.now - before, AFTER_LOSS, "an answer makes up for it");
    }
}

#[test]
fn the_end_of_one_worker_does_not_slow_down_its_address() {
    let mut t = Driver::new();
    t.targets(&[("a", &["1", "2"])]);
    let (_, leaving) = (t.reach("1"), t.reach("2"));
    t.input(Input::GoingAway { conn: leaving });
    t.targets(&[("a", &["1"])]);
    assert_eq!(t.reached(), ["1"]);
    t.targets(&[("a", &["1", "3"])]);
    assert_eq!(t.connecting.len(), 1, "at once");
}

#[test]
fn what_leaves_the_registry_takes_no_call_and_is_closed() {
    let mut t = Driver::new();
    t.targets(&[("a", &["1", "2"]), ("b", &["3"])]);
    let (one, two, three) = (t.reach("1"), t.reach("2"), t.reach("3"));
    t.targets(&[("a", &["2"])]);
    assert_eq!(t.closing, [one, three]);
    assert_eq!(t.pool.ready, [two]);
    assert!(t.connecting.is_empty());
}

#[test]
fn a_connection_that_goes_away_is_replaced() {
    let mut t = Driver::new();
    t.targets(&[("a", &[""])]);
    let conn = t.reach("1");
    t.answer(conn);
    t.input(Input::GoingAway { conn });
    assert_eq!(t.pick(), None);
    t.wait();
    assert_eq!(t.now, AFTER_LOSS);
    assert_eq!(t.connecting.len(), 1);
    t.input(Input::Lost { conn });
    assert_eq!(t.connecting.len(), 1);
}

#[test]
fn one_that_leaves_calls_unanswered_is_avoided_until_it_is_heard() {
    let mut t = Driver::new();
    t.targets(&[("a", &["1", "2"])]);
    let (hung, good) = (t.reach("1"), t.reach("2"));
    let both: BTreeSet<_> = [t.pick(), t.pick()].into();
    assert_eq!(both.len(), 2);
    assert!(t.pool.finish(hung, Outcome::Missed), "ask whether it is alive");
    assert!(!t.pool.finish(good, Outcome::Answered));
    assert_eq!([t.pick(), t.pick(), t.pick()], [Some(good); 3]);
    assert_eq!(t.pick(), Some(hung), "better than nothing");
    assert!(!t.pool.finish(hung, Outcome::Neither));
    assert!(!t.pool.finish(good, Outcome::Neither));
    t.pool.heard(hung);
    assert_eq!(t.pick(), Some(hung));
}

#[test]
fn a_retry_goes_elsewhere_if_there_is_an_elsewhere() {
    let mut t = Driver::new();
    t.targets(&[("a", &["1"])]);
    let only = t.reach("1");
    assert_eq!(t.pool.pick(Some(only)).map(|(conn, _)| conn), Some(only));
    t.targets(&[("a", &["1"]), ("b", &["2"])]);
    let other = t.reach("2");
    assert_eq!(t.pool.pick(Some(only)).map(|(conn, _)| conn), Some(other));
}

#[derive(Clone, Debug)]
enum Step {
    Targets(Vec<(u8, BTreeSet<u8>)>),
    Reach(usize, u8),
    Fail(usize),
    Lose(usize),
    GoAway(usize),
    Pick,
    Finish(usize, bool),
    Wait(u16),
}

fn any_step() -> impl Strategy<Value = Step> {
    let target = (0..3_u8, proptest::collection::btree_set(0..4_u8, 0..4));
    prop_oneof![
        proptest::collection::vec(target, 0..3).prop_map(Step::Targets),
        (any::<usize>(), 0..4_u8).prop_map(|(at, instance)| Step::Reach(at, instance)),
        any::<usize>().prop_map(Step::Fail),
        any::<usize>().prop_map(Step::Lose),
        any::<usize>().prop_map(Step::GoAway),
        Just(Step::Pick),
        (any::<usize>(), any::<bool>()).prop_map(|(at, missed)| Step::Finish(at, missed)),
        (0..2000_u16).prop_map(Step::Wait),
    ]
}

proptest! {
    /// Whatever happens: calls only go where the registry says, counts add up, and once all is well every
    /// worker has a connection again.
    #[test]
    fn calls_go_only_where_they_should(steps in proptest::collection::vec(any_step(), 1..80), seed: u64) {
        let mut t = Driver::new();
        let mut running: Vec<ConnId> = Vec::new();
        for step in steps {
            let known: Vec<ConnId> = t.pool.links.keys().copied().collect();
            let any_known = |at: usize| (!known.is_empty()).then(|| known[at % known.len()]);
            match step {
                Step::Targets(list) => {
                    let list = list.into_iter().map(|(addr, instances)| {
                        let connections = instances.len().max(1);
                        let instances = instances.iter().map(u8::to_string).collect();
                        (addr.to_string(), Target { connections, instances })
                    });
                    t.input(Input::Targets(list.collect()));
                }
                Step::Reach(at, instance) if !t.connecting.is_empty() => {
                    let at = at % t.connecting.len();
                    t.connecting.swap(0, at);
                    t.reach(&instance.to_string());
                }
                Step::Fail(at) if !t.connecting.is_empty() => {
                    let at = at % t.connecting.len();
                    t.connecting.swap(0, at);
                    t.fail();
                }
                Step::Lose(at) => {
                    let ours = any_known(at).filter(|conn| t.connecting.iter().all(|(id, _)| id != conn));
                    if let Some(conn) = ours {
                        t.input(Input::Lost { conn });
                        running.retain(|id| *id != conn);
                    }
                }
                Step::GoAway(at) => {
                    let ours = any_known(at).filter(|conn| t.connecting.iter().all(|(id, _)| id != conn));
                    if let Some(conn) = ours {
                        t.input(Input::GoingAway { conn });
                    }
                }
                Step::Pick => {
                    if let Some(conn) = t.pick() {
                        let link = &t.pool.links[&conn];
                        let Phase::Ready { instance, .. } = &link.phase else { panic!("not ready") };
                        prop_assert!(t.pool.endpoints[&link.addr].target.expects(instance));
                        prop_assert!(link.in_flight <= t.pool.config.max_in_flight);
                        running.push(conn);
                    }
                }
                Step::Finish(at, missed) if !running.is_empty() => {
                    let conn = running.swap_remove(at % running.len());
                    let outcome = if missed { Outcome::Missed } else { Outcome::Answered };
                    prop_assert_eq!(t.pool.finish(conn, outcome), missed);
                }
                Step::Wait(millis) => {
                    t.now += Duration::from_millis(millis.into());
                    t.input(Input::Timeout);
                }
                Step::Reach(..) | Step::Fail(_) | Step::Finish(..) => {}
            }
            for (conn, link) in &t.pool.links {
                prop_assert_eq!(link.in_flight, running.iter().filter(|id| *id == conn).count());
                prop_assert_eq!(t.pool.ready.contains(conn), matches!(link.phase, Phase::Ready { .. }));
            }
            for (addr, endpoint) in t.pool.endpoints.iter().filter(|(_, endpoint)| endpoint.target.is_known()) {
                for worker in &endpoint.target.instances {
                    prop_assert!(t.links_to(addr, worker) <= 1);
                }
            }
        }
        // Every worker is reached in the end, whoever accepts; and there is no hot loop on the way.
        let workers = ["0", "1", "2", "3"];
        t.targets(&[("0", &workers)]);
        let (mut rng, start) = (fastrand::Rng::with_seed(seed), t.now);
        let mut attempts = 0;
        while workers.iter().any(|worker| t.links_to("0", worker) == 0) {
            if t.connecting.is_empty() {
                t.wait();
            }
            prop_assert!(!t.connecting.is_empty());
            attempts += 1;
            // The last one is unlikely to be the one that accepts.
            let worker = if rng.u8(..32) == 0 { 3 } else { rng.usize(..3) };
            t.reach(workers[worker]);
        }
        let rounds = 10 + (t.now - start).as_millis() / 500;
        prop_assert!(attempts <= rounds * 17, "{attempts} attempts in {:?}", t.now - start);
        prop_assert!(t.pool.poll_deadline().is_none());
        prop_assert!(t.pick().is_some());
    }
}
