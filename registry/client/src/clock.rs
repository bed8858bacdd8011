//! The clock of the shell: tokio's, so that a test may pause it.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use zk_wire::Millis;

/// Milliseconds since the driver began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { origin: Instant::now() }
    }

    pub(crate) fn now(self) -> Millis {
        Millis::from(self.origin.elapsed())
    }

    /// Waits until `deadline`, or for ever if there is none.
    pub(crate) async fn sleep_until(self, deadline: Option<Millis>) {
        match deadline.and_then(|at| self.origin.checked_add(Duration::from(at))) {
            Some(at) => sleep_until(at).await,
            None => std::future::pending().await,
        }
    }
}
