//! Quota of calls of a worker.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::session::CallQuota;

/// Quota of calls whose end a task can wait for.
#[derive(Debug)]
pub(crate) struct Quota {
    pub(crate) calls: Arc<CallQuota>,
    used_up: Notify,
}

impl Quota {
    /// Allows this many calls, or up to a tenth fewer by `chance`.
    pub(crate) fn new(calls: u64, chance: u64) -> Self {
        Self { calls: Arc::new(CallQuota::new(calls, chance)), used_up: Notify::new() }
    }

    /// Wakes the task that waits for the end.
    pub(crate) fn use_up(&self) {
        self.used_up.notify_one();
    }

    /// Completes after the start of the last call. May be called once.
    pub(crate) async fn used_up(&self) {
        self.used_up.notified().await;
    }
}
