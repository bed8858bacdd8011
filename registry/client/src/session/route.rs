//! Which server comes next, and when.

use zk_wire::Millis;

/// The pause between two rounds through all servers begins here and doubles every round.
const FIRST_PAUSE: Millis = Millis(100);
const LONGEST_PAUSE: Millis = Millis(1_000);

/// No attempt is given less time than this.
const SHORTEST_ATTEMPT: Millis = Millis(250);

/// The servers in an order of its own, gone through in turn, and how often that has failed.
#[derive(Debug)]
pub(super) struct Route {
    order: Vec<usize>,
    next: usize,
    /// Attempts since a connection last proved itself.
    failures: usize,
    proven: bool,
    random: fastrand::Rng,
}

impl Route {
    pub(super) fn new(servers: usize, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut order: Vec<usize> = (0..servers).collect();
        random.shuffle(&mut order);
        Self { order, next: 0, failures: 0, proven: false, random }
    }

    /// The server to try now; the one after it comes next.
    pub(super) fn take_next(&mut self) -> usize {
        let server = self.order[self.next];
        self.next = (self.next + 1) % self.order.len();
        server
    }

    /// How long an attempt may take: a third of the session timeout for all servers together, so that a
    /// session outlives the loss of its server. More in every round, for networks that are that slow.
    pub(super) fn attempt_time(&self, session_timeout: Millis) -> Millis {
        let fair = Millis(session_timeout.0 / 3 / self.order.len() as u64).max(SHORTEST_ATTEMPT);
        Millis(fair.0 << self.rounds().min(16)).min(session_timeout.max(SHORTEST_ATTEMPT))
    }

    /// A connection has done some work: its loss will be no failure.
    pub(super) fn proven(&mut self) {
        self.failures = 0;
        self.proven = true;
    }

    /// The connection is gone, or was never there: how long to wait before the next attempt. Nothing after a
    /// proven one and within a round; else half to all of the round's pause, so that many clients do not come
    /// at once.
    pub(super) fn lost(&mut self) -> Millis {
        if std::mem::take(&mut self.proven) {
            return Millis(0);
        }
        self.failures += 1;
        if !self.failures.is_multiple_of(self.order.len()) {
            return Millis(0);
        }
        let pause = Millis(FIRST_PAUSE.0 << (self.rounds() - 1).min(16)).min(LONGEST_PAUSE);
        Millis(self.random.u64(pause.0 / 2..=pause.0))
    }

    fn rounds(&self) -> usize {
        self.failures / self.order.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_server_has_its_turn_before_one_comes_again() {
        let mut route = Route::new(5, 7);
        let mut round: Vec<usize> = (0..5).map(|_| route.take_next()).collect();
        let again: Vec<usize> = (0..5).map(|_| route.take_next()).collect();
        assert_eq!(round, again);
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
    fn only_rounds_are_paused_longer_each_time_up_to_a_limit() {
        let mut route = Route::new(2, 1);
        let mut longest = Millis(0);
        for round in 0..40_u32 {
            assert_eq!(route.lost(), Millis(0), "within a round");
            let pause = route.lost();
            let full = Millis(100 << round.min(8)).min(LONGEST_PAUSE);
            assert!(Millis(full.0 / 2) <= pause && pause <= full, "round {round}: {pause}");
            longest = longest.max(pause);
        }
        assert!(longest > Millis(500));
        route.proven();
        assert_eq!(route.lost(), Millis(0), "the loss itself");
        assert_eq!(route.lost(), Millis(0), "the first server of a new round");
        assert!(route.lost() <= FIRST_PAUSE);
    }

    #[test]
    fn all_servers_can_be_tried_within_a_third_of_the_timeout() {
        assert_eq!(Route::new(3, 1).attempt_time(Millis(9_000)), Millis(1_000));
        assert_eq!(Route::new(100, 1).attempt_time(Millis(4_000)), SHORTEST_ATTEMPT);
        let mut route = Route::new(1, 1);
        for _ in 0..100 {
            let _ = route.lost();
        }
        assert_eq!(route.attempt_time(Millis(9_000)), Millis(9_000), "but not longer than a session");
    }
}
