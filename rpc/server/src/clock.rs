//! The one place that reads a clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Wall time since 1970; zero on a machine that believes in an earlier date.
#[expect(clippy::disallowed_methods, reason = "the shell's clock")]
pub(crate) fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
