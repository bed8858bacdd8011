//! The pause of a call whose client does not read.

use common::Millis;

/// Time between two looks at the client.
const LOOK_AGAIN: Millis = Millis(3_000);

/// Bytes that a client reads in that time if it reads at all.
const FAIR: u64 = 64 << 10;

/// A look that is so late tells of a process that stood still.
const STALL: Millis = Millis(100);

/// Lasts while the client reads at a fair rate, and three seconds longer: a call may hold what others wait for.
#[derive(Debug)]
pub(crate) struct Pause {
    next_look: Millis,
    /// Bytes that had been written to the client at the last look.
    written: u64,
    is_over: bool,
}

impl Pause {
    pub(crate) fn new(now: Millis, written: u64) -> Self {
        Self { next_look: now + LOOK_AGAIN, written, is_over: false }
    }

    /// Returns the time of the next look; `None` once the pause is over.
    pub(crate) fn poll_deadline(&self) -> Option<Millis> {
        (!self.is_over).then_some(self.next_look)
    }

    /// Looks at the bytes that have been written to the client, ever.
    pub(crate) fn look(&mut self, now: Millis, written: u64) {
        if self.is_over || now < self.next_look {
            return;
        }
        // A process that stood still did not write, whatever the client would have read.
        let stood_still = now.since(self.next_look) > STALL;
        self.is_over = written.saturating_sub(self.written) < FAIR && !stood_still;
        self.written = written;
        self.next_look = now + LOOK_AGAIN;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lasts_while_the_client_reads_and_ends_three_seconds_later() {
        let mut pause = Pause::new(Millis(0), 0);
        pause.look(Millis(2_999), 0);
        assert_eq!(pause.poll_deadline(), Some(Millis(3_000)));
        pause.look(Millis(3_000), FAIR);
        assert_eq!(pause.poll_deadline(), Some(Millis(6_000)));
        pause.look(Millis(6_000), 2 * FAIR - 1);
        assert_eq!(pause.poll_deadline(), None);
    }

    #[test]
    fn a_process_that_stood_still_does_not_end_it() {
        let mut pause = Pause::new(Millis(0), 0);
        pause.look(Millis(3_101), 0);
        assert_eq!(pause.poll_deadline(), Some(Millis(6_101)));
    }
}
