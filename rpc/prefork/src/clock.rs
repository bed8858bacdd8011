//! The only place that reads the clock.

use std::time::Instant;

use nix::time::ClockId;

use crate::millis::Millis;

/// Milliseconds since the supervisor started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "the shell's clock")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn now(self) -> Millis {
        self.0.elapsed().into()
    }
    /// What systemd calls `MONOTONIC_USEC`: the system's own count, in microseconds.
    pub(crate) fn system_micros() -> i64 {
        ClockId::CLOCK_MONOTONIC.now().map_or(0, |time| time.tv_sec() * 1_000_000 + time.tv_nsec() / 1_000)
    }
}
