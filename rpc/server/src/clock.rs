//! Clock readings of the shell.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Reads the runtime's clock.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Returns the wall time since 1970; zero if the machine's date is earlier.
#[expect(clippy::disallowed_methods, reason = "the shell's clock")]
pub(crate) fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
