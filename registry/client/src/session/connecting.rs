//! The way to a connection: names that are looked up, and attempts that race.

use common::Millis;

use super::route::HEAD_START;
use super::{AttemptId, LinkState, Output, Session};

/// Maximum number of attempts under way at once.
const MAX_ATTEMPTS: usize = 8;

impl<C> Session<C> {
    pub(super) fn handle_looked_up(&mut self, now: Millis, addresses: usize) {
        let LinkState::LookingUp { server, .. } = self.link else { return };
        // A resolver that is away as well must not keep us from a server that has not moved.
        let addresses = if addresses == 0 { self.route.known(server) } else { addresses };
        if addresses == 0 {
            self.go_on(now);
        } else {
            let address = self.route.looked_up(server, addresses);
            self.connect(now, server, address);
        }
    }

    pub(super) fn handle_not_connected(&mut self, now: Millis, failed: AttemptId) {
        self.attempts.retain(|(attempt, _)| *attempt != failed);
        if let LinkState::Opening { attempt, .. } = self.link
            && attempt == failed
        {
            self.go_on(now);
        }
    }

    /// Begins to open a connection. Attempts at addresses that swallow packets go on beside later ones: a server that comes
    /// back is reached at the next attempt, and a slow network is given its time all the same.
    pub(super) fn connect(&mut self, now: Millis, server: usize, address: usize) {
        self.last_attempt += 1;
        let attempt = AttemptId(self.last_attempt);
        if self.attempts.len() >= MAX_ATTEMPTS
            && let Some((oldest, _)) = self.attempts.pop_front()
        {
            self.outputs.push_back(Output::GiveUp(oldest));
        }
        self.attempts.push_back((attempt, now + self.attempt_time()));
        self.link = LinkState::Opening { attempt, until: now + HEAD_START };
        self.outputs.push_back(Output::Connect { attempt, server, address });
    }

    pub(super) fn give_up_overdue(&mut self, now: Millis) {
        let outputs = &mut self.outputs;
        self.attempts.retain(|&(attempt, until)| {
            let is_overdue = until <= now;
            if is_overdue {
                outputs.push_back(Output::GiveUp(attempt));
            }
            !is_overdue
        });
    }

    /// Goes on to the next server or address, perhaps after a pause.
    pub(super) fn go_on(&mut self, now: Millis) {
        self.link = LinkState::Idle(now + self.route.lost(now));
    }

    /// Returns the time limit of the next step towards a connection.
    pub(super) fn attempt_time(&self) -> Millis {
        let whole = match self.credentials {
            Some(_) => self.timeout,
            None => self.timeout.min(self.config.connect_timeout),
        };
        self.route.attempt_time(whole)
    }
}
