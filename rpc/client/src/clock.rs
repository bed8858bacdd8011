//! The one place that reads a clock.

use tokio::time::Instant;

pub(crate) fn now() -> Instant {
    Instant::now()
}
