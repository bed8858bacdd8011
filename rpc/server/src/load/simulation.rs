//! Servers that are simulated, to prove the adaptive limit: so many places, a time of service, clients with deadlines that send
//! in an open loop, whatever the answers.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use common::Millis;
use fastrand::Rng;
use proptest::prelude::*;

use super::adaptive::{AdaptiveLimit, EndedCall};

/// Server with places, each of which serves one call at a time; further calls wait inside their handlers, in order.
#[derive(Clone, Copy, Debug)]
struct Simulated {
    places: u32,
    /// Mean time of service, in microseconds.
    service: u64,
    /// Part of the service time by which it varies, in both directions.
    noise: f64,
    /// Time that clients wait, in multiples of the time of service.
    patience: u64,
    /// Part of the calls that take ten times as long, and whose clients wait for a fifth of that.
    hasty: f64,
}

/// Limits to compare.
#[derive(Debug)]
enum Limit {
    Fixed(usize),
    Adaptive(AdaptiveLimit),
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Call {
    started: u64,
    deadline: u64,
    is_hasty: bool,
}

/// World in which time passes, in microseconds.
struct World {
    server: Simulated,
    limit: Limit,
    rng: Rng,
    now: u64,
    /// Ends of service, and calls that are served.
    served: BinaryHeap<Reverse<(u64, Call)>>,
    waiting: VecDeque<Call>,
    /// Number of calls that ended in time.
    good: u64,
}

impl World {
    fn new(server: Simulated, limit: Limit, seed: u64) -> Self {
        let (served, waiting) = (BinaryHeap::new(), VecDeque::new());
        Self { server, limit, rng: Rng::with_seed(seed), now: 0, served, waiting, good: 0 }
    }

    /// Sends calls for a time, at so many times the capacity. Returns the calls that ended in time, as a part of the capacity.
    fn run(&mut self, micros: u64, load: f64) -> f64 {
        let (until, before) = (self.now + micros, self.good);
        let capacity = f64::from(self.server.places) / self.server.service as f64;
        let mut arrival = self.now as f64;
        while self.now < until {
            arrival -= self.rng.f64().max(1e-12).ln() / (capacity * load);
            let next = arrival as u64;
            while let Some(&Reverse((end, call))) = self.served.peek()
                && end <= next
            {
                self.served.pop();
                self.now = end;
                self.end(call, end <= call.deadline && !call.is_hasty);
            }
            self.now = next;
            self.give_up();
            self.arrive();
        }
        (self.good - before) as f64 / (capacity * micros as f64)
    }

    fn arrive(&mut self) {
        let limit = match &self.limit {
            Limit::Fixed(limit) => *limit,
            Limit::Adaptive(limit) => limit.limit(),
        };
        if self.served.len() + self.waiting.len() < limit {
            let is_hasty = self.rng.f64() < self.server.hasty;
            let patience = if is_hasty { 2 } else { self.server.patience };
            let deadline = self.now + self.server.service * patience;
            self.waiting.push_back(Call { started: self.now, deadline, is_hasty });
            self.serve();
        } else if let Limit::Adaptive(limit) = &mut self.limit {
            limit.reached();
        }
    }

    fn serve(&mut self) {
        while self.served.len() < self.server.places as usize {
            let Some(call) = self.waiting.pop_front() else { break };
            let factor = 1.0 + self.server.noise * (2.0 * self.rng.f64() - 1.0);
            let mut end = self.now + (self.server.service as f64 * factor) as u64;
            if call.is_hasty {
                end = call.deadline.max(self.now);
            }
            self.served.push(Reverse((end, call)));
        }
    }

    /// Drops the waiting calls whose deadline has passed.
    fn give_up(&mut self) {
        while let Some(call) = self.waiting.front().copied().filter(|call| call.deadline < self.now) {
            self.waiting.pop_front();
            self.tell(call, true);
        }
    }

    fn end(&mut self, call: Call, in_time: bool) {
        self.good += u64::from(in_time);
        self.tell(call, !in_time);
        self.give_up();
        self.serve();
    }

    fn tell(&mut self, call: Call, given_up: bool) {
        if let Limit::Adaptive(limit) = &mut self.limit {
            let took = Duration::from_micros(self.now - call.started);
            let started = Millis(call.started / 1_000);
            limit.ended(Millis(self.now / 1_000), EndedCall { started, took, given_up });
        }
    }

    fn limit(&self) -> usize {
        match &self.limit {
            Limit::Fixed(limit) => *limit,
            Limit::Adaptive(limit) => limit.limit(),
        }
    }
}

const SECOND: u64 = 1_000_000;

fn adaptive(server: Simulated, seed: u64) -> World {
    World::new(server, Limit::Adaptive(AdaptiveLimit::new(16_384)), seed)
}

fn servers() -> impl Strategy<Value = (Simulated, u64)> {
    let places = prop_oneof![Just(1_u32), 2..10_u32, 10..60_u32];
    let server = (places, 1_000..20_000_u64, 0.0..0.8_f64, 5..20_u64).prop_map(
        |(places, service, noise, patience)| Simulated { places, service, noise, patience, hasty: 0.0 },
    );
    (server, any::<u64>())
}

/// Time in which so many calls end.
fn time_of(server: Simulated, calls: u64) -> u64 {
    (server.service * calls / u64::from(server.places)).max(SECOND)
}

/// Number of calls after which a limit has settled.
const WARM: u64 = 6_000;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn at_any_overload_nearly_all_of_the_capacity_ends_in_time((server, seed) in servers(), load in 2.0..64.0_f64) {
        let mut world = adaptive(server, seed);
        world.run(time_of(server, WARM), load);
        let good = world.run(time_of(server, 10_000), load);
        prop_assert!(good >= 0.85, "{good:.2} of the capacity, limit {}", world.limit());
    }

    #[test]
    fn a_server_with_room_refuses_hardly_any_call((server, seed) in servers(), load in 0.1..0.5_f64) {
        let mut world = adaptive(server, seed);
        world.run(time_of(server, WARM), load);
        let good = world.run(time_of(server, 10_000), load);
        // One place alone is waited for, and some wait too long, whatever the limit.
        prop_assert!(good >= load * 0.9, "{good:.2} of the capacity at {load:.2}, limit {}", world.limit());
    }

    #[test]
    fn clients_whose_deadlines_are_too_short_do_not_shut_the_others_out(
        (server, seed) in servers(),
        hasty in 0.2..0.5_f64,
        load in 0.2..3.0_f64,
    ) {
        let server = Simulated { places: server.places + 4, hasty, ..server };
        let mut world = adaptive(server, seed);
        world.run(time_of(server, 4 * WARM), load);
        let good = world.run(time_of(server, 20_000), load);
        // Hasty calls take a place for about twice the time of service.
        let possible = (1.0 - hasty) * load.min(1.0 / (1.0 + hasty));
        prop_assert!(good >= possible * 0.5, "{good:.2} of the capacity at {load:.2}, limit {}", world.limit());
    }

    #[test]
    fn the_limit_follows_a_capacity_that_changes((server, seed) in servers(), places in 0.25..4.0_f64, slower in 0.5..4.0_f64) {
        let mut world = adaptive(server, seed);
        world.run(time_of(server, WARM), 8.0);
        let places = (f64::from(server.places) * places).ceil() as u32;
        let service = (server.service as f64 * slower) as u64;
        world.server = Simulated { places, service, ..server };
        // Probes, which find out that calls take longer by themselves, are seconds apart, and each costs a little.
        world.run(time_of(world.server, 2 * WARM).max(20 * SECOND), 8.0);
        let good = world.run(time_of(world.server, 10_000).max(10 * SECOND), 8.0);
        prop_assert!(good >= 0.7, "{good:.2} of the capacity, limit {}", world.limit());
    }

    #[test]
    fn bursts_leave_the_limit_as_it_was((server, seed) in servers()) {
        let mut world = adaptive(server, seed);
        world.run(time_of(server, WARM), 2.0);
        let mut good = 0.0;
        for _ in 0..10 {
            world.run(time_of(server, 200), 0.3);
            good += world.run(time_of(server, 1_000), 64.0) / 10.0;
        }
        prop_assert!(good >= 0.8, "{good:.2} of the capacity, limit {}", world.limit());
    }
}

#[test]
fn without_a_limit_an_overload_leaves_nothing() {
    let server = Simulated { places: 8, service: 8_000, noise: 0.5, patience: 6, hasty: 0.0 };
    let mut world = World::new(server, Limit::Fixed(16_384), 1);
    world.run(time_of(server, WARM), 8.0);
    let good = world.run(time_of(server, WARM), 8.0);
    assert!(good < 0.05, "{good:.2} of the capacity: the simulation is too kind");
}

#[test]
fn a_server_that_answers_nothing_in_time_is_tried_by_one_call_at_a_time_and_recovers() {
    let server = Simulated { places: 4, service: 5_000, noise: 0.2, patience: 5, hasty: 0.0 };
    let mut world = adaptive(server, 1);
    world.run(5 * SECOND, 4.0);
    // Deadlines stay what they were, in microseconds.
    world.server = Simulated { service: 500_000, patience: 0, ..server };
    world.run(60 * SECOND, 4.0);
    assert_eq!(world.limit(), 1);
    world.server = server;
    world.run(5 * SECOND, 4.0);
    let good = world.run(5 * SECOND, 4.0);
    assert!(good >= 0.85, "{good:.2} of the capacity, limit {}", world.limit());
}
