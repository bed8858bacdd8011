//! Any order of inputs.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Targets(Vec<(u8, BTreeSet<u8>)>, bool),
    Reach(usize, u8),
    Fail(usize),
    Lose(usize),
    GoAway(usize),
    Pick(Purpose),
    Finish(usize, LinkOutcome),
    Wait(u16),
}

fn any_purpose() -> impl Strategy<Value = Purpose> {
    prop_oneof![Just(Purpose::Call), Just(Purpose::Hedge), Just(Purpose::Stream)]
}

fn any_outcome() -> impl Strategy<Value = LinkOutcome> {
    prop_oneof![
        1 => Just(LinkOutcome::Answered),
        3 => Just(LinkOutcome::Failed),
        1 => Just(LinkOutcome::Missed),
        1 => Just(LinkOutcome::Overtaken),
        1 => Just(LinkOutcome::Neither),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    let target = (0..3_u8, proptest::collection::btree_set(0..4_u8, 0..4));
    prop_oneof![
        (proptest::collection::vec(target, 0..3), any::<bool>())
            .prop_map(|(list, stale)| Step::Targets(list, stale)),
        (any::<usize>(), 0..4_u8).prop_map(|(at, instance)| Step::Reach(at, instance)),
        any::<usize>().prop_map(Step::Fail),
        any::<usize>().prop_map(Step::Lose),
        any::<usize>().prop_map(Step::GoAway),
        any_purpose().prop_map(Step::Pick),
        (any::<usize>(), any_outcome()).prop_map(|(at, outcome)| Step::Finish(at, outcome)),
        (0..2000_u16).prop_map(Step::Wait),
    ]
}

proptest! {
    /// Calls go only where the registry says, counts add up, and once all is well every worker has a connection again,
    /// after any inputs.
    #[test]
    fn calls_go_only_where_they_should(steps in proptest::collection::vec(any_step(), 1..80), seed: u64) {
        let mut t = Driver::with(PoolConfig { outliers: OutlierEjection::default().consecutive_failures(1), ..config() });
        let mut running: Vec<Picked> = Vec::new();
        for step in steps {
            let known: Vec<LinkId> = t.pool.links.keys().copied().collect();
            let any_known = |at: usize| (!known.is_empty()).then(|| known[at % known.len()]);
            match step {
                Step::Targets(list, stale) => {
                    let list = list.into_iter().map(|(addr, instances)| {
                        let connections = instances.len().max(1);
                        let instances = instances.iter().map(|name| entry(&name.to_string())).collect();
                        (addr.to_string(), Target { connections, instances, any: None })
                    });
                    t.input(Input::Targets(Targets { by_addr: list.collect(), stale, unix_ms: 0 }));
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
                    let ours = any_known(at).filter(|id| t.connecting.iter().all(|(connecting, _)| connecting != id));
                    if let Some(id) = ours {
                        t.lose(id);
                        running.retain(|running| running.id != id);
                    }
                }
                Step::GoAway(at) => {
                    let ours = any_known(at).filter(|id| t.connecting.iter().all(|(connecting, _)| connecting != id));
                    if let Some(id) = ours {
                        t.go_away(id);
                    }
                }
                Step::Pick(purpose) => {
                    let demand = Demand { now: t.now, avoid: &[], key: None, purpose };
                    if let Some((picked, id)) = t.pool.pick(&demand) {
                        let link = &t.pool.links[&id];
                        let Phase::Ready { instance, .. } = &link.phase else { panic!("not ready") };
                        let target = &t.pool.endpoints[&link.addr].target;
                        prop_assert!(t.pool.stale || target.expects(instance));
                        prop_assert!(t.in_flight(id) <= t.pool.config.max_in_flight);
                        running.push(picked);
                    }
                }
                Step::Finish(at, outcome) if !running.is_empty() => {
                    let picked = running.swap_remove(at % running.len());
                    let asks = t.pool.finish(t.now, picked, outcome, None);
                    prop_assert_eq!(asks, outcome == LinkOutcome::Missed);
                }
                Step::Wait(millis) => {
                    t.now = t.now + Millis(millis.into());
                    t.input(Input::Timeout);
                }
                Step::Reach(..) | Step::Fail(_) | Step::Finish(..) => {}
            }
            for (id, link) in &t.pool.links {
                prop_assert_eq!(t.in_flight(*id), running.iter().filter(|running| running.id == *id).count());
                prop_assert_eq!(t.ready().contains(id), matches!(link.phase, Phase::Ready { .. }));
            }
            for (addr, endpoint) in &t.pool.endpoints {
                let ours = || t.pool.links.values().filter(|link| link.addr == *addr);
                let there = ours().filter(|link| !matches!(link.phase, Phase::Leaving { .. })).count();
                let trying = ours().filter(|link| matches!(link.phase, Phase::Connecting)).count();
                prop_assert_eq!((endpoint.there, endpoint.trying), (there, trying));
            }
            for (addr, endpoint) in t.pool.endpoints.iter().filter(|(_, endpoint)| endpoint.target.is_known()) {
                for worker in endpoint.target.instances.keys() {
                    prop_assert!(t.links_to(addr, worker) <= 1);
                }
            }
        }
        // Every worker is reached in the end, and there is no hot loop on the way.
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
            // The last worker accepts rarely.
            let worker = if rng.u8(..32) == 0 { 3 } else { rng.usize(..3) };
            t.reach(workers[worker]);
        }
        let rounds = 10 + t.now.since(start).0 / 500;
        prop_assert!(attempts <= rounds * 17, "{attempts} attempts in {:?}", t.now.since(start));
        prop_assert!(t.pool.poll_deadline().is_none());
        // Calls that succeed take back every link. Those from before may go on for ever.
        for _ in 0..20 {
            t.now = t.now + Millis(60_000);
            t.ready().iter().for_each(|id| t.pool.heard(*id));
            for _ in 0..4 {
                if let Some(id) = t.pick() {
                    t.finish(id, LinkOutcome::Answered);
                }
            }
        }
        let members = t.pool.ready.members().iter();
        let out: Vec<_> = members.filter(|member| !member.health.is_in() && member.in_flight < 3).collect();
        prop_assert!(out.is_empty(), "{out:?}");
    }
}
