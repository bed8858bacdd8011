//! The clock of a shell: tokio's, so that it stands still where a test has paused it.

use std::future::pending;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::Millis;

/// Tells a core's time: milliseconds since the clock was started.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// Starts a clock at zero.
    #[must_use]
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// Returns the time since the start, rounded down.
    #[must_use]
    pub fn now(self) -> Millis {
        self.origin.elapsed().into()
    }

    /// Waits until the clock shows `deadline`; for ever if there is none, or none that the clock can show.
    pub async fn sleep_until(self, deadline: Option<Millis>) {
        match deadline.and_then(|at| self.origin.checked_add(Duration::from(at))) {
            Some(at) => sleep_until(at).await,
            None => pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_has_come_once_it_has_been_slept_for() {
        let clock = Clock::start();
        tokio::time::advance(Duration::from_micros(1_700)).await;
        for deadline in [Millis(0), Millis(2), Millis(3), Millis(1_000)] {
            clock.sleep_until(Some(deadline)).await;
            assert!(clock.now() >= deadline);
        }
        assert_eq!(clock.now(), Millis(1_000));
    }
}
