//! Attempts to connect: pauses, many clients at once, addresses that swallow packets, slow networks and resolvers.

use common::Millis;
use zk_wire::{ErrorCode, OpCode};

use super::rig::{Rig, RigLink, SESSION, TIMEOUT, config};
use crate::session::{Input, SessionConfig};
use crate::session_state::SessionState;

/// Servers that are away.
#[derive(Clone, Copy, Debug)]
enum Away {
    /// Their hosts refuse connections.
    Refusing,
    /// Their hosts swallow packets.
    Silent,
}

/// Clients that all had a connection, until now.
struct Crowd {
    clients: Vec<Rig>,
    /// Number of attempts in each step of time.
    attempts: Vec<usize>,
}

const STEP: u64 = 10;

impl Crowd {
    fn new(clients: u64) -> Self {
        let client = |seed| {
            let mut rig = Rig::new(SessionConfig { seed, ..config(3) });
            rig.accept();
            rig.give_session(SESSION);
            rig.call(1, OpCode::EXISTS);
            rig.advance(2_000);
            rig.answer(OpCode::EXISTS, 5, ErrorCode::OK);
            rig.connects.clear();
            rig.lose();
            rig
        };
        Self { clients: (0..clients).map(client).collect(), attempts: Vec::new() }
    }

    fn step(&mut self, mut serve: impl FnMut(&mut Rig)) {
        let mut attempts = 0;
        for client in &mut self.clients {
            client.advance(STEP);
            serve(client);
            attempts += client.connects.drain(..).count();
        }
        self.attempts.push(attempts);
    }

    fn wait(&mut self, millis: u64, away: Away) {
        for _ in 0..millis / STEP {
            self.step(|client| {
                while let (Away::Refusing, RigLink::Opening) = (away, client.link) {
                    client.lose();
                }
            });
        }
    }

    /// Lets the servers come back, and returns the number of clients that are connected after each step of a second.
    fn come_back(&mut self) -> Vec<usize> {
        let mut connected = Vec::new();
        for _ in 0..1_000 / STEP {
            // What was sent to a silent host is lost: only new attempts are answered.
            self.step(|client| {
                if !client.connects.is_empty() && client.link == RigLink::Opening {
                    client.accept();
                    client.give_session(SESSION);
                }
            });
            let is_live = |client: &&Rig| client.link == RigLink::Live;
            connected.push(self.clients.iter().filter(is_live).count());
        }
        connected
    }

    /// Returns the largest number of attempts in a span of time.
    fn most_in(&self, millis: u64) -> usize {
        let spans = self.attempts.windows(usize::try_from(millis / STEP).unwrap());
        spans.map(|span| span.iter().sum()).max().unwrap()
    }
}

#[test]
fn a_thousand_clients_do_not_storm_and_are_back_within_a_second() {
    for (away, outage) in [(Away::Refusing, 5_000), (Away::Silent, 8_000)] {
        let mut crowd = Crowd::new(1_000);
        crowd.wait(outage, away);
        // Each server is tried at most twice a second and client, except in the first second.
        // At once each client tries the three servers, within a tenth of a second; then less and less often.
        let (step, first) = (crowd.most_in(STEP), crowd.most_in(1_000));
        assert!(
            step <= 400 && first <= 10_000,
            "{away:?}: {step} attempts in {STEP} ms, {first} in a second"
        );
        crowd.attempts.drain(..100);
        let (tenth, second) = (crowd.most_in(100), crowd.most_in(1_000));
        assert!(tenth <= 1_000 && second <= 5_500, "{away:?}: {tenth} in a tenth, {second} in a second");

        let connected = crowd.come_back();
        assert_eq!(connected.last(), Some(&1_000), "{away:?}: {connected:?}");
        let new: Vec<usize> = connected.windows(11).map(|span| span[10] - span[0]).collect();
        assert!(new.iter().all(|&new| new <= 300), "{away:?}: spread out, {new:?}");
    }
}

#[test]
fn a_slow_network_is_given_its_time_while_later_attempts_are_made() {
    let mut rig = Rig::new(config(1));
    let first = rig.attempts[0];
    rig.advance(2_500);
    assert!(rig.connects.len() > 3, "{}", rig.connects.len());
    assert_eq!(rig.attempts[0], first, "not given up");
    rig.accept();
    rig.give_session(SESSION);
    assert_eq!(rig.states, [SessionState::Connected(SESSION)]);
}

#[test]
fn an_attempt_that_fails_after_it_was_overtaken_does_not_hasten_the_next_one() {
    let mut rig = Rig::new(config(1));
    while rig.attempts.len() < 2 {
        rig.advance(10);
    }
    let (made, overtaken) = (rig.connects.len(), rig.attempts.remove(0));
    rig.input(Input::NotConnected(overtaken));
    assert_eq!(rig.connects.len(), made);
    rig.advance(1_100);
    assert!(rig.connects.len() > made);
}

#[test]
fn a_resolver_that_is_away_too_does_not_keep_the_client_from_servers_that_have_not_moved() {
    let mut rig = Rig::live();
    rig.is_resolver_silent = true;
    rig.lose();
    rig.advance_to_connect();
    assert!(rig.now < 700, "{}", rig.now);
    rig.accept();
    rig.give_session(SESSION);

    rig.addresses = 0;
    rig.is_resolver_silent = false;
    rig.lose();
    rig.advance_to_connect();
}

#[test]
fn a_server_that_hangs_up_at_once_is_not_called_in_a_loop() {
    let mut rig = Rig::live();
    rig.lose();
    rig.connects.clear();
    while rig.now < 20_000 {
        rig.advance_to_connect();
        rig.accept();
        rig.give_session(SESSION);
        rig.lose();
    }
    assert!(rig.connects.len() < 50, "{}", rig.connects.len());
}

#[test]
fn every_server_is_tried_while_the_session_lives() {
    let mut rig = Rig::new(config(3));
    rig.accept();
    rig.give_session(SESSION);
    rig.advance(TIMEOUT);
    // No server answers: the last live one was left after two thirds.
    let mut tried = rig.connects[1..4].to_vec();
    tried.sort_unstable();
    assert_eq!(tried, [(0, 0), (1, 0), (2, 0)]);
    assert_ne!(rig.connects[0], rig.connects[1], "another one first");
}

#[test]
fn a_silent_address_gets_its_share_of_the_time_and_then_the_next_one_is_tried() {
    let mut rig = Rig::idle(config(1));
    rig.addresses = 3;
    rig.input(Input::Timeout);
    rig.accept();
    rig.advance(TIMEOUT / 9 - 1);
    assert_eq!(rig.connects.len(), 1);
    rig.advance(1);
    rig.accept();
    rig.advance(TIMEOUT / 9);
    let mut tried = rig.connects.clone();
    tried.sort_unstable();
    assert_eq!(tried, [(0, 0), (0, 1), (0, 2)]);
    rig.accept();
    rig.give_session(SESSION);
    assert_eq!(rig.states, [SessionState::Connected(SESSION)]);
}

#[test]
fn the_connect_timeout_limits_the_attempts_at_the_first_session() {
    let mut rig = Rig::new(SessionConfig { connect_timeout: Millis(3_000), ..config(1) });
    rig.accept();
    rig.advance(999);
    assert_eq!(rig.link, RigLink::Open);
    rig.advance(1);
    assert_ne!(rig.link, RigLink::Open);
}

#[test]
fn a_name_without_an_address_is_looked_up_again() {
    let mut rig = Rig::idle(config(1));
    rig.addresses = 0;
    rig.input(Input::Timeout);
    rig.advance(5_000);
    assert_eq!(rig.connects, []);
    rig.addresses = 1;
    rig.advance(1_000);
    assert_eq!(rig.connects[0], (0, 0));
}

#[test]
fn a_server_that_answers_and_then_hangs_up_is_not_asked_in_a_loop() {
    let mut rig = Rig::live();
    let mut waits = Vec::new();
    for id in 0..20 {
        rig.call(id, OpCode::EXISTS);
        rig.answer(OpCode::EXISTS, 5, ErrorCode::OK);
        rig.lose();
        let lost = rig.now;
        rig.attach_again();
        waits.push(rig.now - lost);
    }
    assert!(waits[..2].iter().all(|wait| *wait <= 100), "it may happen: {waits:?}");
    assert!(waits[10..].iter().all(|wait| *wait >= 500), "{waits:?}");
    // After a connection that lasted there is no pause.
    rig.advance(5_000);
    rig.call(20, OpCode::EXISTS);
    while rig.ops() != [OpCode::EXISTS] {
        rig.answer(OpCode::PING, 5, ErrorCode::OK);
    }
    rig.answer(OpCode::EXISTS, 5, ErrorCode::OK);
    rig.lose();
    rig.advance(100);
    assert_eq!(rig.link, RigLink::Opening);
}
