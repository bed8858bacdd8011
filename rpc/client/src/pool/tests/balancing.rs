//! Weights, zones and warm-ups.

use super::*;

/// Returns targets of one process each: name, weight and zone.
fn entries(entries: impl IntoIterator<Item = (u32, Instance)>, unix_ms: u64) -> Input<LinkId> {
    let by_addr = entries.into_iter().map(|(name, instance)| {
        let instances = [(name.to_string(), Arc::new(instance))].into();
        (name.to_string(), Target { connections: 1, instances, any: None })
    });
    Input::Targets(Targets { by_addr: by_addr.collect(), stale: false, unix_ms })
}

fn instance() -> Instance {
    Instance::new("host", 1)
}

impl Driver {
    fn reach_all(&mut self) {
        while let Some((_, addr)) = self.connecting.first().cloned() {
            self.reach(&addr);
        }
    }

    /// Counts calls that are answered at once, in percent by address.
    fn shares(&mut self) -> BTreeMap<String, u32> {
        let mut counts = BTreeMap::<String, u32>::new();
        for _ in 0..10_000 {
            let id = self.pick().unwrap();
            *counts.entry(self.pool.links[&id].addr.clone()).or_default() += 1;
            self.finish(id, LinkOutcome::Answered);
        }
        counts.values_mut().for_each(|count| *count = (*count + 50) / 100);
        counts
    }
}

const WAYS: [Balancer; 4] = [
    Balancer::PowerOfTwo,
    Balancer::RoundRobin,
    Balancer::WeightedRandom,
    Balancer::ConsistentHash { load_percent: 125 },
];

#[test]
fn calls_follow_the_weights_in_every_way() {
    for balancer in WAYS {
        let mut t = Driver::with(PoolConfig { balancer, ..config() });
        t.input(entries(
            [10, 30, 60, 0].into_iter().zip(0..).map(|(weight, n)| (n, instance().with_weight(weight))),
            0,
        ));
        t.reach_all();
        let shares = t.shares();
        for (name, weight) in [("0", 10), ("1", 30), ("2", 60)] {
            assert!(shares[name].abs_diff(weight) <= 2, "{balancer:?}: {shares:?}");
        }
        assert!(!shares.contains_key("3"), "{balancer:?}: {shares:?}");
    }
}

#[test]
fn who_drains_takes_no_call_and_keeps_its_connection() {
    let mut t = Driver::new();
    let draining = || instance().with_status(registry::Status::Draining);
    t.input(entries([(0, instance()), (1, instance())], 0));
    t.reach_all();
    t.input(entries([(0, instance()), (1, draining())], 0));
    assert!(t.closing.is_empty());
    assert_eq!(t.shares(), [("0".to_owned(), 100)].into());
    t.input(entries([(0, draining()), (1, draining())], 0));
    assert_eq!(t.pick(), None);
}

#[test]
fn calls_stay_in_the_zone_while_it_is_well_and_spill_in_proportion() {
    let mut t = Driver::with(PoolConfig { zone: Some("here".into()), ..config() });
    let zone = |n| if n < 4 { "here" } else { "there" };
    t.input(entries((0..8).map(|n| (n, instance().with_zone(zone(n)))), 0));
    t.reach_all();
    let near = |t: &mut Driver| {
        t.shares().iter().filter(|(name, _)| name.as_str() < "4").map(|(_, share)| share).sum::<u32>()
    };
    assert!(near(&mut t) >= 99);
    let links = t.ready();
    t.lose(links[0]);
    assert!(near(&mut t) >= 99, "three of four are enough");
    t.lose(links[1]);
    assert!(near(&mut t).abs_diff(70) <= 3);
    t.lose(links[2]);
    t.lose(links[3]);
    assert_eq!(near(&mut t), 0);
}

#[test]
fn a_warm_up_in_the_registry_lets_the_share_grow() {
    let mut t = Driver::new();
    let warming = instance().with_warm_up(1_000_000, 10_000);
    t.input(entries([(0, instance()), (1, warming)], 1_000_000));
    t.reach_all();
    assert!(t.shares().get("1").copied().unwrap_or(0) <= 2);
    for _ in 0..5 {
        assert_eq!(t.wait(), WARM_UP_STEP);
    }
    let share = t.shares()["1"];
    assert!((28..=38).contains(&share), "half of its weight: {share}");
    for _ in 0..5 {
        t.wait();
    }
    assert!(t.shares()["1"].abs_diff(50) <= 2);
    assert_eq!(t.pool.poll_deadline(), None, "nothing grows any more");
}

#[test]
fn a_newcomer_warms_up_if_the_client_says_so() {
    let mut t = Driver::with(PoolConfig { warm_up: Millis(10_000), ..config() });
    t.input(entries([(0, instance())], 0));
    t.reach_all();
    t.now = Millis(20_000);
    t.input(entries([(0, instance()), (1, instance())], 0));
    t.begin();
    t.reach_all();
    assert!(t.shares().get("1").copied().unwrap_or(0) <= 2);
    while t.pool.poll_deadline().is_some() {
        t.wait();
    }
    assert!(t.shares()["1"].abs_diff(50) <= 2);
}

#[test]
fn a_key_stays_with_its_instance_while_that_has_room() {
    let balancer = Balancer::ConsistentHash { load_percent: 125 };
    let mut t = Driver::with(PoolConfig { balancer, max_in_flight: 100, ..config() });
    t.input(entries((0..4).map(|n| (n, instance())), 0));
    t.reach_all();
    let pick = |t: &mut Driver, key| {
        t.demand(&Demand { now: t.now, avoid: &[], key: Some(key), purpose: Purpose::Call }).unwrap()
    };
    let home = pick(&mut t, 7);
    t.finish(home, LinkOutcome::Answered);
    for _ in 0..100 {
        assert_eq!(pick(&mut t, 7), home);
        t.finish(home, LinkOutcome::Answered);
    }
    let spread: BTreeSet<_> = (0..40).map(|_| pick(&mut t, 7)).collect();
    assert_eq!(spread.len(), 4, "a hot key does not overload its instance");
    assert!(t.in_flight(home) <= 13, "{}", t.in_flight(home));
}

#[test]
fn the_ring_is_made_for_the_next_key_and_not_for_each_connection_or_ejection() {
    let balancer = Balancer::ConsistentHash { load_percent: 125 };
    let mut t = Driver::with(PoolConfig { balancer, ..config() });
    t.input(entries((0..4).map(|n| (n, instance())), 0));
    t.reach_all();
    let pick = |t: &mut Driver| {
        let demand = Demand { now: t.now, avoid: &[], key: Some(7), purpose: Purpose::Call };
        let picked = t.demand(&demand).unwrap();
        t.finish(picked, LinkOutcome::Answered);
    };
    assert_eq!(t.pool.ready.ring_updates(), 0);
    pick(&mut t);
    let updates = t.pool.ready.ring_updates();
    assert_eq!(updates, 1);
    let bad = t.ready()[0];
    t.eject(bad);
    t.now = t.now + SECOND;
    assert_eq!(t.pick(), Some(bad));
    t.finish(bad, LinkOutcome::Answered);
    pick(&mut t);
    assert_eq!(t.pool.ready.ring_updates(), updates);
    t.lose(bad);
    pick(&mut t);
    assert_eq!(t.pool.ready.ring_updates(), updates + 1);
}
