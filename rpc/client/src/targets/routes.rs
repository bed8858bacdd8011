//! The ways to the instances of a service: the port of each one alone, or the port that several share where that one cannot be
//! reached. No I/O: members, reports of connections and the time go in, targets come out.

use std::collections::BTreeMap;
use std::sync::Arc;

use common::{Backoff, Millis};
use fastrand::Rng;
use registry::{Instance, Members};

use super::aperture::Aperture;
use super::entry::{direct_addr, identity};
use super::{Targets, group};

/// Number of failures in a row after which a direct address counts as unreachable. One may be a worker that has just died.
const FAILURES: u32 = 3;

/// Pauses before a direct address that cannot be reached is tried again.
const DETOUR: Backoff = Backoff::new(Millis(10_000), Millis(600_000));

/// Experience with an address, from the task of a connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Report {
    /// The connection takes long; it may still be made.
    Slow,
    /// No connection was made, or there was no hello.
    Failed,
    /// The process `instance` has said hello.
    Reached { instance: String },
}

/// Ways to the members of a service.
#[derive(Debug)]
pub(crate) struct Routes {
    max_connections: usize,
    aperture: Option<Aperture>,
    random: Rng,
    members: Arc<Members>,
    by_direct: BTreeMap<String, Direct>,
}

/// An address of one process alone.
#[derive(Debug)]
struct Direct {
    /// Address that it shares with others.
    shared: String,
    identity: Option<String>,
    way: Way,
}

#[derive(Clone, Copy, Debug)]
enum Way {
    /// The direct address, which has failed so often in a row.
    Direct { failures: u32, proven: bool },
    /// The shared address, until it is time to try the direct one again.
    Detour { number: u32, until: Millis },
    /// Both: the shared address until the direct one is reached.
    Both { number: u32 },
}

impl Routes {
    /// Follows no members yet. `max_connections` limits the connections to a shared address.
    pub(crate) fn new(max_connections: usize, aperture: Option<Aperture>, seed: u64) -> Self {
        let (members, by_direct) = (Arc::default(), BTreeMap::new());
        Self { max_connections, aperture, random: Rng::with_seed(seed), members, by_direct }
    }

    /// Takes the members of the service.
    pub(crate) fn handle_members(&mut self, now: Millis, members: Arc<Members>) {
        let mut known = std::mem::take(&mut self.by_direct);
        for instance in members.instances.values() {
            let Some(addr) = direct_addr(instance) else { continue };
            let (shared, identity) = (instance.addr(), identity(instance).map(str::to_owned));
            let way = match known.remove(&addr).filter(|old| old.identity == identity) {
                Some(old) => old.way,
                None => Way::Direct { failures: 0, proven: false },
            };
            self.by_direct.insert(addr, Direct { shared, identity, way });
        }
        self.begin_newcomers(now, &known);
        self.members = members;
    }

    /// Takes a report about an address. Returns true if the targets have changed.
    pub(crate) fn handle_report(&mut self, now: Millis, addr: &str, report: &Report) -> bool {
        let Some(direct) = self.by_direct.get_mut(addr) else { return false };
        let expected = |instance: &String| direct.identity.as_ref().is_none_or(|known| known == instance);
        let reached = match report {
            Report::Slow => None,
            Report::Failed => Some(false),
            Report::Reached { instance } => Some(self.members.stale || expected(instance)),
        };
        let before = direct.way;
        direct.way = match (before, reached) {
            (_, Some(true)) => Way::Direct { failures: 0, proven: true },
            (Way::Direct { proven: false, .. }, None) => Way::Both { number: 0 },
            (Way::Direct { failures, .. }, Some(false)) if failures + 1 >= FAILURES => {
                detour(0, now, &mut self.random)
            }
            (Way::Direct { failures, proven }, Some(false)) => Way::Direct { failures: failures + 1, proven },
            (Way::Both { number }, Some(false)) => detour(number, now, &mut self.random),
            (way, _) => way,
        };
        before.addresses() != direct.way.addresses()
    }

    /// Takes the time. Returns true if the targets have changed.
    pub(crate) fn handle_timeout(&mut self, now: Millis) -> bool {
        let mut changed = false;
        for direct in self.by_direct.values_mut() {
            if let Way::Detour { number, until } = direct.way
                && until <= now
            {
                direct.way = Way::Both { number: number.saturating_add(1) };
                changed = true;
            }
        }
        changed
    }

    /// Returns the time at which [`Self::handle_timeout`] is due.
    pub(crate) fn poll_deadline(&self) -> Option<Millis> {
        let until = |direct: &Direct| match direct.way {
            Way::Detour { until, .. } => Some(until),
            Way::Direct { .. } | Way::Both { .. } => None,
        };
        self.by_direct.values().filter_map(until).min()
    }

    /// Returns the addresses to connect to. The time is in milliseconds since 1970.
    pub(crate) fn targets(&self, unix_ms: u64) -> Targets {
        let chosen: Vec<&Arc<Instance>> = match &self.aperture {
            Some(aperture) => aperture.choose(&self.members),
            None => self.members.instances.values().collect(),
        };
        let mut ways = Vec::with_capacity(chosen.len());
        for instance in chosen {
            let known = direct_addr(instance).and_then(|addr| Some((self.by_direct.get(&addr)?.way, addr)));
            let (direct, shared) = known.as_ref().map_or((false, true), |(way, _)| way.addresses());
            if let Some((_, addr)) = known.filter(|_| direct) {
                ways.push((addr, instance));
            }
            if shared {
                ways.push((instance.addr(), instance));
            }
        }
        group(ways, self.max_connections, self.members.stale, unix_ms)
    }

    /// Lets newcomers begin at the shared address where the direct ones of their neighbours cannot be reached.
    fn begin_newcomers(&mut self, now: Millis, gone: &BTreeMap<String, Direct>) {
        let mut closed = BTreeMap::<String, Option<u32>>::new();
        for direct in self.by_direct.values().chain(gone.values()) {
            match direct.way {
                Way::Direct { proven: true, .. } => drop(closed.insert(direct.shared.clone(), None)),
                Way::Direct { .. } => {}
                Way::Detour { number, .. } | Way::Both { number } => {
                    let most = closed.entry(direct.shared.clone()).or_insert(Some(number));
                    *most = most.map(|most| most.max(number));
                }
            }
        }
        for direct in self.by_direct.values_mut() {
            if let Way::Direct { failures: 0, proven: false } = direct.way
                && let Some(Some(number)) = closed.get(&direct.shared)
            {
                direct.way = detour(*number, now, &mut self.random);
            }
        }
    }
}

impl Way {
    /// Returns true for the direct address, and true for the shared one, if they are targets.
    fn addresses(self) -> (bool, bool) {
        match self {
            Self::Direct { .. } => (true, false),
            Self::Detour { .. } => (false, true),
            Self::Both { .. } => (true, true),
        }
    }
}

/// Begins a detour after so many others.
fn detour(number: u32, now: Millis, random: &mut Rng) -> Way {
    Way::Detour { number, until: now + DETOUR.pause(number, random) }
}

#[cfg(test)]
mod tests {
    use registry::InstanceId;
    use rpc_wire::{DIRECT_FIELD, INSTANCE_FIELD};
    use serde_json::json;

    use super::*;

    struct World {
        routes: Routes,
        now: Millis,
    }

    impl World {
        fn new(workers: &[u16]) -> Self {
            let mut world = Self { routes: Routes::new(16, None, 1), now: Millis(0) };
            world.members(workers, false);
            world
        }

        /// Workers behind `a:1`, each with a port of its own.
        fn members(&mut self, workers: &[u16], stale: bool) {
            let worker = |port: &u16| {
                let direct = json!({"host": "a", "port": port});
                let instance = Instance::new("a", 1).with(INSTANCE_FIELD, port.to_string());
                (InstanceId::from(port.to_string().as_str()), Arc::new(instance.with(DIRECT_FIELD, direct)))
            };
            let mut members: Members = workers.iter().map(worker).collect();
            members.stale = stale;
            self.routes.handle_members(self.now, Arc::new(members));
        }

        fn report(&mut self, port: u16, report: &Report) -> bool {
            self.routes.handle_report(self.now, &format!("a:{port}"), report)
        }

        fn reach(&mut self, port: u16) -> bool {
            self.report(port, &Report::Reached { instance: port.to_string() })
        }

        fn fail_often(&mut self, port: u16) {
            assert!(!self.report(port, &Report::Failed), "one failure is no detour");
            assert!(!self.report(port, &Report::Failed));
            assert!(self.report(port, &Report::Failed));
        }

        fn targets(&self) -> Vec<(String, usize)> {
            let targets = self.routes.targets(0).by_addr.into_iter();
            targets.map(|(addr, target)| (addr, target.connections)).collect()
        }

        fn wait(&mut self) -> Millis {
            let before = self.now;
            self.now = self.routes.poll_deadline().unwrap();
            assert!(self.routes.handle_timeout(self.now));
            self.now.since(before)
        }
    }

    fn list(targets: &[(&str, usize)]) -> Vec<(String, usize)> {
        targets.iter().map(|&(addr, connections)| (addr.into(), connections)).collect()
    }

    #[test]
    fn each_worker_is_reached_at_its_own_port() {
        let many: Vec<u16> = (10..60).collect();
        let world = World::new(&many);
        assert_eq!(world.targets().len(), 50, "more than a shared address may have");
        assert!(world.targets().iter().all(|(addr, connections)| *connections == 1 && addr != "a:1"));
    }

    #[test]
    fn a_direct_address_that_cannot_be_reached_gives_way_to_the_shared_one() {
        let mut world = World::new(&[10, 11]);
        assert!(!world.reach(10));
        world.fail_often(11);
        assert_eq!(world.targets(), list(&[("a:1", 1), ("a:10", 1)]));
        let first = world.wait();
        assert_eq!(world.targets(), list(&[("a:1", 1), ("a:10", 1), ("a:11", 1)]), "it is tried again");
        assert!(world.report(11, &Report::Failed));
        assert_eq!(world.targets(), list(&[("a:1", 1), ("a:10", 1)]));
        let second = world.wait();
        assert!(first < second, "{first:?}, then {second:?}");
        assert!(world.reach(11));
        assert_eq!(world.targets(), list(&[("a:10", 1), ("a:11", 1)]));
    }

    #[test]
    fn a_slow_connection_is_overtaken_by_the_shared_address_until_it_is_made() {
        let mut world = World::new(&[10]);
        assert!(world.report(10, &Report::Slow));
        assert_eq!(world.targets(), list(&[("a:1", 1), ("a:10", 1)]));
        assert!(world.reach(10));
        assert_eq!(world.targets(), list(&[("a:10", 1)]));
        assert!(!world.report(10, &Report::Slow), "it has worked before");
    }

    #[test]
    fn newcomers_behind_a_wall_begin_at_the_shared_address() {
        let mut world = World::new(&[10, 11]);
        world.fail_often(10);
        world.fail_often(11);
        world.members(&[12, 13], false);
        assert_eq!(world.targets(), list(&[("a:1", 2)]));
        while world.routes.poll_deadline().is_some() {
            world.wait();
        }
        world.reach(12);
        world.members(&[12, 14], false);
        assert_eq!(world.targets(), list(&[("a:12", 1), ("a:14", 1)]), "the wall is gone");
    }

    #[test]
    fn another_process_at_a_direct_address_is_a_failure_unless_the_registry_is_away() {
        let stranger = Report::Reached { instance: "stranger".into() };
        let mut world = World::new(&[10]);
        assert!(!world.report(10, &stranger) && !world.report(10, &stranger));
        assert!(world.report(10, &stranger));
        assert_eq!(world.targets(), list(&[("a:1", 1)]));

        let mut world = World::new(&[10]);
        world.members(&[10], true);
        for _ in 0..5 {
            assert!(!world.report(10, &stranger));
        }
    }
}
