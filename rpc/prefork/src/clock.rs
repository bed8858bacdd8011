//! The parent's clock. It needs no runtime, and no other file of this crate reads the time.

use std::time::Instant;

use common::Millis;
use nix::time::ClockId;

/// Tells the time since the supervisor started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    /// Starts a clock at zero.
    #[expect(clippy::disallowed_methods, reason = "the shell's clock")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Returns the time since the start, rounded down.
    pub(crate) fn now(self) -> Millis {
        self.0.elapsed().into()
    }

    /// Returns the system's monotonic time in microseconds, which systemd calls `MONOTONIC_USEC`.
    pub(crate) fn system_micros() -> i64 {
        ClockId::CLOCK_MONOTONIC.now().map_or(0, |time| time.tv_sec() * 1_000_000 + time.tv_nsec() / 1_000)
    }
}
