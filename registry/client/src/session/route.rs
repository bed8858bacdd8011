//! Choice of the next server and address, and of the time for it.

use std::collections::VecDeque;

use common::{Backoff, Millis};

/// Pauses between two rounds through all servers. The longest one leaves a client that much under a second behind the return
/// of its servers.
const PAUSES: Backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
const FIRST_PAUSE: Millis = Millis(200);
const LONGEST_PAUSE: Millis = Millis(800);

/// Longest pause after the loss of a connection that worked: the clients of a server that ends do not all come to the next one
/// in the same moment.
const SPREAD: Millis = Millis(100);

/// Time after which an attempt that is not through yet is overtaken by the next one.
pub(super) const HEAD_START: Millis = Millis(250);

/// Minimum time of an attempt.
const SHORTEST_ATTEMPT: Millis = HEAD_START;

/// Age below which the loss of a connection counts as a failure, even if it has answered.
const YOUNG: Millis = Millis(1_000);

/// Number of such losses in a row without a longer pause: servers may be stopped one after the other.
const FORGIVEN: u32 = 2;

/// Goes through the servers in rounds, in a random order, and counts failures.
///
/// A name can have several addresses. It is looked up at its turn in a round; then one address is tried, and the others after
/// all names have had their turn.
#[derive(Debug)]
pub(super) struct Route {
    order: Vec<usize>,
    next: usize,
    /// Number of names whose turn comes later in this round.
    left: usize,
    /// Addresses to try after these names.
    further: VecDeque<Candidate>,
    /// Number of addresses of each server at its last lookup that found some; 0 before.
    addresses: Vec<usize>,
    /// Number of rounds that have failed since a connection last worked.
    rounds: u32,
    /// Time at which the connection got its session.
    live_at: Option<Millis>,
    proven: bool,
    /// Number of connections in a row that worked and were lost young.
    young: u32,
    random: fastrand::Rng,
}

/// Next server or address to try.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Candidate {
    /// A server whose addresses must be looked up first.
    Server(usize),
    /// An address that was found.
    Address { server: usize, address: usize },
}

impl Route {
    pub(super) fn new(servers: usize, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut order: Vec<usize> = (0..servers).collect();
        random.shuffle(&mut order);
        Self {
            order,
            next: 0,
            left: servers,
            further: VecDeque::new(),
            addresses: vec![0; servers],
            rounds: 0,
            live_at: None,
            proven: false,
            young: 0,
            random,
        }
    }

    /// Returns the next candidate.
    pub(super) fn take_next(&mut self) -> Candidate {
        if self.left == 0 {
            if let Some(next) = self.further.pop_front() {
                return next;
            }
            self.left = self.order.len();
        }
        self.left -= 1;
        let server = self.order[self.next];
        self.next = (self.next + 1) % self.order.len();
        Candidate::Server(server)
    }

    /// Notes the number of addresses of a server, at least one, and returns the index of the one to try now.
    pub(super) fn looked_up(&mut self, server: usize, addresses: usize) -> usize {
        self.addresses[server] = addresses;
        let mut order: Vec<usize> = (0..addresses).collect();
        self.random.shuffle(&mut order);
        self.further.extend(order[1..].iter().map(|&address| Candidate::Address { server, address }));
        order[0]
    }

    /// Returns the number of addresses of a server at its last lookup that found some.
    pub(super) fn known(&self, server: usize) -> usize {
        self.addresses[server]
    }

    /// Returns the time limit of an attempt. All addresses share a third of the session timeout, so that a session outlives
    /// the loss of its server. The limit doubles in every round, for slow networks.
    pub(super) fn attempt_time(&self, session_timeout: Millis) -> Millis {
        let candidates: usize = self.addresses.iter().map(|&known| known.max(1)).sum();
        let fair = Millis(session_timeout.0 / 3 / candidates as u64).max(SHORTEST_ATTEMPT);
        Millis(fair.0 << self.rounds.min(16)).min(session_timeout.max(SHORTEST_ATTEMPT))
    }

    /// Notes that the connection has a session.
    pub(super) fn live(&mut self, now: Millis) {
        self.live_at = Some(now);
    }

    /// Notes that the connection works: its loss will be no failure, and starts a new round.
    pub(super) fn proven(&mut self) {
        self.rounds = 0;
        self.proven = true;
        self.left = 0;
        self.further.clear();
    }

    /// Notes that the connection is lost, or that an attempt has failed or is overtaken. Returns the pause before the next
    /// attempt: a short one after a connection that worked, none within a round, else that of [`PAUSES`].
    ///
    /// A connection has worked if it has answered a request, or lived for a second. Those that worked and are lost young again
    /// and again are failures, too: a server that answers and then hangs up must not be called in a loop.
    pub(super) fn lost(&mut self, now: Millis) -> Millis {
        let age = self.live_at.take().map(|since| now.since(since));
        let is_old = age.is_some_and(|age| age >= YOUNG);
        if is_old {
            self.proven();
        }
        if std::mem::take(&mut self.proven) {
            self.young = if is_old { 0 } else { self.young.saturating_add(1) };
            return match self.young.checked_sub(1 + FORGIVEN) {
                Some(failures) => self.pause(&PAUSES, failures),
                None => Millis(self.random.u64(0..=SPREAD.0)),
            };
        }
        if self.left > 0 || !self.further.is_empty() {
            return Millis(0);
        }
        let pause = self.pause(&PAUSES, self.rounds);
        self.rounds = self.rounds.saturating_add(1);
        pause
    }

    /// Notes that an attempt has used its head start. Returns the pause before the next attempt: the head start is a part of it.
    pub(super) fn overtaken(&mut self, now: Millis) -> Millis {
        self.lost(now).since(HEAD_START)
    }

    /// Returns a server of the list, by chance.
    pub(super) fn any_server(&mut self) -> usize {
        self.random.usize(..self.order.len())
    }

    /// Makes a server the next candidate, in a new round.
    pub(super) fn prefer(&mut self, server: usize) {
        self.next = self.order.iter().position(|&other| other == server).unwrap_or(self.next);
        self.left = 0;
        self.further.clear();
    }

    /// Returns a pause of these, cut by chance.
    pub(super) fn pause(&mut self, pauses: &Backoff, failures: u32) -> Millis {
        pauses.pause(failures, &mut self.random)
    }

    /// Returns the number of rounds that have failed in a row.
    pub(super) fn rounds(&self) -> u32 {
        self.rounds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(route: &mut Route, count: usize) -> Vec<usize> {
        (0..count)
            .map(|_| match route.take_next() {
                Candidate::Server(server) | Candidate::Address { server, .. } => server,
            })
            .collect()
    }

    /// Lets the next attempt fail, and returns the pause.
    fn fail(route: &mut Route) -> Millis {
        let _ = route.take_next();
        route.lost(YOUNG)
    }

    #[test]
    fn every_server_has_its_turn_before_one_comes_again() {
        let mut route = Route::new(5, 7);
        let mut round = servers(&mut route, 5);
        assert_eq!(round, servers(&mut route, 5));
        round.sort_unstable();
        assert_eq!(round, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn the_order_follows_the_seed() {
        let order = |seed| Route::new(8, seed).order;
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
    }

    #[test]
    fn every_address_has_its_turn_in_a_round_after_all_names_in_an_order_of_chance() {
        let (mut firsts, mut route) = (Vec::new(), Route::new(2, 1));
        for _ in 0..50 {
            let mut tried = Vec::new();
            for _ in 0..2 {
                let Candidate::Server(server) = route.take_next() else { panic!("names come first") };
                let address = route.looked_up(server, if server == 0 { 3 } else { 1 });
                tried.push((server, address));
                assert_eq!(route.lost(YOUNG), Millis(0), "within a round");
            }
            firsts.extend(tried.iter().find(|(server, _)| *server == 0));
            for _ in 0..2 {
                let Candidate::Address { server, address } = route.take_next() else {
                    panic!("then the other addresses")
                };
                tried.push((server, address));
                let pause = route.lost(YOUNG);
                assert_eq!(pause == Millis(0), tried.len() < 4, "a round ends with its last address");
            }
            tried.sort_unstable();
            assert_eq!(tried, [(0, 0), (0, 1), (0, 2), (1, 0)]);
        }
        for address in 0..3 {
            assert!(firsts.contains(&(0, address)), "each comes first at times");
        }
    }

    #[test]
    fn after_a_connection_that_worked_names_are_looked_up_anew() {
        let mut route = Route::new(1, 1);
        let _ = route.take_next();
        route.looked_up(0, 3);
        route.proven();
        assert!(route.lost(YOUNG) <= SPREAD);
        assert_eq!(route.take_next(), Candidate::Server(0));
    }

    #[test]
    fn only_rounds_are_paused_longer_each_time_up_to_a_limit() {
        let mut route = Route::new(2, 1);
        let mut longest = Millis(0);
        for round in 0..40_u32 {
            assert_eq!(fail(&mut route), Millis(0), "within a round");
            let pause = fail(&mut route);
            let full = Millis(FIRST_PAUSE.0 << round.min(8)).min(LONGEST_PAUSE);
            assert!(Millis(full.0 / 2) <= pause && pause <= full, "round {round}: {pause}");
            longest = longest.max(pause);
        }
        assert!(longest > Millis(600));
        route.proven();
        assert!(route.lost(YOUNG) <= SPREAD, "the loss itself");
        assert_eq!(fail(&mut route), Millis(0), "the first server of a new round");
        assert!(fail(&mut route) <= FIRST_PAUSE);
    }

    #[test]
    fn a_connection_that_has_lived_for_a_second_resets_the_pauses_without_an_answer() {
        let mut route = Route::new(1, 1);
        for age in [YOUNG.0 - 1, YOUNG.0] {
            for _ in 0..10 {
                fail(&mut route);
            }
            let _ = route.take_next();
            route.live(Millis(5));
            let pause = route.lost(Millis(5 + age));
            let is_old = age == YOUNG.0;
            assert_eq!((pause <= SPREAD, route.rounds() == 0), (is_old, is_old), "{age}: {pause}");
        }
    }

    #[test]
    fn all_addresses_can_be_tried_within_a_third_of_the_timeout() {
        assert_eq!(Route::new(3, 1).attempt_time(Millis(9_000)), Millis(1_000));
        assert_eq!(Route::new(100, 1).attempt_time(Millis(4_000)), SHORTEST_ATTEMPT);
        let mut route = Route::new(1, 1);
        route.looked_up(0, 3);
        assert_eq!(route.attempt_time(Millis(9_000)), Millis(1_000));
        let mut route = Route::new(1, 1);
        for _ in 0..100 {
            fail(&mut route);
        }
        assert_eq!(route.attempt_time(Millis(9_000)), Millis(9_000), "but not longer than a session");
    }
}
