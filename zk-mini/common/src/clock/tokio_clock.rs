//! The clock of tokio, so that it stands still where a test has paused it.

use std::future::pending;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::Millis;

/// Tells the time of tokio: milliseconds since the clock was started.
#[derive(Clone, Copy, Debug)]
pub struct TokioClock {
    origin: Instant,
}

impl TokioClock {
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

    /// Returns the time that the clock showed at `instant`, rounded down: for a shell that has read the time already.
    #[must_use]
    pub fn at(self, instant: Instant) -> Millis {
        instant.saturating_duration_since(self.origin).into()
    }

    /// Returns the instant at which the clock shows `time`; `None` for a time that it cannot show.
    #[must_use]
    pub fn instant(self, time: Millis) -> Option<Instant> {
        self.origin.checked_add(Duration::from(time))
    }

    /// Waits until the clock shows `deadline`; for ever if there is none, or none that the clock can show.
    pub async fn sleep_until(self, deadline: Option<Millis>) {
        match deadline.and_then(|at| self.instant(at)) {
            Some(at) => sleep_until(at).await,
            None => pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_and_its_time_name_each_other() {
        let clock = TokioClock::start();
        let instant = clock.instant(Millis(7)).unwrap();
        assert_eq!(clock.at(instant), Millis(7));
        assert_eq!(clock.at(instant + Duration::from_micros(999)), Millis(7));
        assert_eq!(clock.at(clock.origin - Duration::from_millis(1)), Millis(0), "before the start");
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_has_come_once_it_has_been_slept_for() {
        let clock = TokioClock::start();
        tokio::time::advance(Duration::from_micros(1_700)).await;
        for deadline in [Millis(0), Millis(2), Millis(3), Millis(1_000)] {
            clock.sleep_until(Some(deadline)).await;
            assert!(clock.now() >= deadline);
        }
        assert_eq!(clock.now(), Millis(1_000));
    }
}
