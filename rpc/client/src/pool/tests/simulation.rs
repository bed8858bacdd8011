//! Callers and instances in simulated time: what balancing and ejection come to.

use std::cell::Cell;

use super::*;

/// An instance as its callers see it.
#[derive(Clone, Copy)]
pub(super) struct Worker {
    /// Time to its answer, in microseconds.
    pub(super) takes: u64,
    pub(super) outcome: LinkOutcome,
}

const GOOD: Worker = Worker { takes: 5_000, outcome: LinkOutcome::Answered };

/// Lets callers call one after another for a while; returns the number of calls to each instance.
///
/// `worker` tells what an instance does at a time in microseconds.
pub(super) fn run(
    config: PoolConfig,
    instances: usize,
    callers: usize,
    seconds: u64,
    worker: impl Fn(usize, u64) -> Worker,
) -> Vec<usize> {
    let mut t = Driver::with(PoolConfig { max_in_flight: 1024, ..config });
    let names: Vec<String> = (0..instances).map(|n| n.to_string()).collect();
    let targets: Vec<(&str, [&str; 1])> = names.iter().map(|name| (name.as_str(), [name.as_str()])).collect();
    let targets: Vec<(&str, &[&str])> = targets.iter().map(|(addr, workers)| (*addr, &workers[..])).collect();
    t.targets(&targets);
    let links: Vec<LinkId> = names.iter().map(|name| t.reach(name)).collect();
    let (mut counts, mut running, next) = (vec![0; instances], BTreeMap::new(), Cell::new(0_u64));
    let mut call = |t: &mut Driver, running: &mut BTreeMap<_, _>, now: u64| {
        let id = t.pick().expect("there is room");
        let at = links.iter().position(|link| *link == id).unwrap();
        counts[at] += 1;
        let Worker { takes, outcome } = worker(at, now);
        next.set(next.get() + 1);
        running.insert((now + takes, next.get()), (id, outcome, takes));
    };
    (0..callers).for_each(|_| call(&mut t, &mut running, 0));
    while let Some(((now, _), (id, outcome, takes))) = running.pop_first() {
        if now > seconds * 1_000_000 {
            break;
        }
        t.now = Millis(now / 1_000);
        t.finish_after(id, outcome, Some(Duration::from_micros(takes)));
        call(&mut t, &mut running, now);
    }
    counts
}

fn percent(counts: &[usize], at: usize) -> f64 {
    100.0 * counts[at] as f64 / counts.iter().sum::<usize>() as f64
}

#[test]
fn an_instance_that_fails_fast_gets_few_calls() {
    for (callers, seconds, seed) in [(1, 30, 1), (4, 30, 2), (64, 10, 3), (256, 5, 4)] {
        let fails = |at, _| match at {
            0 => Worker { takes: 100, outcome: LinkOutcome::Failed },
            _ => GOOD,
        };
        let counts = run(PoolConfig { seed, ..config() }, 4, callers, seconds, fails);
        assert!(percent(&counts, 0) < 0.5, "{callers} callers: {counts:?}");
        assert!(percent(&counts, 1) > 30.0 && percent(&counts, 2) > 30.0, "{counts:?}");
        let off = PoolConfig { outliers: OutlierEjection::off(), seed, ..config() };
        let counts = run(off, 4, callers, seconds, fails);
        assert!(percent(&counts, 0) < 2.0, "{callers} callers, without ejection: {counts:?}");
    }
}

#[test]
fn an_instance_that_fails_every_other_call_is_ejected_and_comes_back_when_it_is_well() {
    let flips = Cell::new(0);
    let counts = run(config(), 4, 16, 60, |at, now| {
        flips.set(flips.get() + 1);
        let fails = at == 0 && now < 30_000_000 && flips.get() % 2 == 0;
        Worker { outcome: if fails { LinkOutcome::Failed } else { LinkOutcome::Answered }, ..GOOD }
    });
    let share = percent(&counts, 0);
    assert!((5.0..15.0).contains(&share), "half of the time almost nothing, then a quarter: {counts:?}");
}

#[test]
fn an_instance_that_is_ten_times_as_slow_gets_few_calls() {
    for (callers, seconds, seed) in [(4, 60, 1), (64, 20, 2), (256, 20, 3)] {
        let counts = run(PoolConfig { seed, ..config() }, 4, callers, seconds, |at, _| match at {
            0 => Worker { takes: 50_000, ..GOOD },
            _ => GOOD,
        });
        assert!(percent(&counts, 0) < 2.0, "{callers} callers: {counts:?}");
    }
}

#[test]
fn when_all_fail_all_get_calls() {
    let counts = run(config(), 4, 16, 10, |_, _| Worker { takes: 1_000, outcome: LinkOutcome::Failed });
    assert!((0..4).all(|at| percent(&counts, at) > 15.0), "{counts:?}");
}

#[test]
fn instances_that_do_well_share_the_calls_evenly() {
    let counts = run(config(), 4, 16, 10, |_, _| GOOD);
    assert!((0..4).all(|at| (24.0..26.0).contains(&percent(&counts, at))), "{counts:?}");
}

#[test]
fn rare_failures_eject_nobody_and_hardly_change_the_shares() {
    let calls = Cell::new(0_u64);
    let counts = run(config(), 4, 16, 30, |_, _| {
        calls.set(calls.get() + 1);
        let fails = calls.get() * 2_654_435_761 % 100 < 3;
        Worker { outcome: if fails { LinkOutcome::Failed } else { LinkOutcome::Answered }, ..GOOD }
    });
    assert!((0..4).all(|at| (23.0..27.0).contains(&percent(&counts, at))), "{counts:?}");
}
