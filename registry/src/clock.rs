//! The shell's clock: tokio's, so that it stands still where a test has paused it.

use std::time::Duration;

use tokio::time::Instant;
use zk_wire::Millis;

/// Counts from its creation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { origin: Instant::now() }
    }

    pub(crate) fn now(self) -> Millis {
        self.origin.elapsed().into()
    }

    /// Waits for a deadline of a core; for ever if it has none.
    pub(crate) async fn sleep_until(self, deadline: Option<Millis>) {
        // One more, since a fraction of a millisecond may be missing. Later than time can tell is never.
        let wait = deadline.map(|at| Duration::from(at).saturating_add(Duration::from_millis(1)));
        match wait.and_then(|wait| self.origin.checked_add(wait)) {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
    }
}
