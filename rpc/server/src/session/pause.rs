//! Pause of a call whose client does not read.

use common::Millis;

/// Time between two checks of the client.
const CHECK_INTERVAL: Millis = Millis(3_000);

/// Bytes that a client reads at least between two checks if it reads at all.
const FAIR: u64 = 64 << 10;

/// Delay of a check that tells of a process that did not run.
const STALL: Millis = Millis(100);

/// Pause that lasts while the client reads at a fair rate, and 3 s longer. It is bounded because a paused call may hold a
/// lock that other calls wait for.
#[derive(Debug)]
pub(crate) struct Pause {
    next_check: Millis,
    /// Total of the bytes that had been written to the client at the last check.
    written: u64,
    is_over: bool,
}

impl Pause {
    pub(crate) fn new(now: Millis, written: u64) -> Self {
        Self { next_check: now + CHECK_INTERVAL, written, is_over: false }
    }

    /// Returns the time of the next check; `None` after the end of the pause.
    pub(crate) fn poll_deadline(&self) -> Option<Millis> {
        (!self.is_over).then_some(self.next_check)
    }

    /// Checks the total of the bytes that have been written to the client.
    pub(crate) fn check(&mut self, now: Millis, written: u64) {
        if self.is_over || now < self.next_check {
            return;
        }
        // A process that did not run did not write either: the client is not to blame.
        let stood_still = now.since(self.next_check) > STALL;
        self.is_over = written.saturating_sub(self.written) < FAIR && !stood_still;
        self.written = written;
        self.next_check = now + CHECK_INTERVAL;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_lasts_while_the_client_reads_and_ends_three_seconds_later() {
        let mut pause = Pause::new(Millis(0), 0);
        pause.check(Millis(2_999), 0);
        assert_eq!(pause.poll_deadline(), Some(Millis(3_000)));
        pause.check(Millis(3_000), FAIR);
        assert_eq!(pause.poll_deadline(), Some(Millis(6_000)));
        pause.check(Millis(6_000), 2 * FAIR - 1);
        assert_eq!(pause.poll_deadline(), None);
    }

    #[test]
    fn a_process_that_did_not_run_does_not_end_the_pause() {
        let mut pause = Pause::new(Millis(0), 0);
        pause.check(Millis(3_101), 0);
        assert_eq!(pause.poll_deadline(), Some(Millis(6_101)));
    }
}
