//! Retirement of a worker that has used up its quota of calls: sessions notice it, the worker's task waits for it.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::session::CallQuota;

/// Quota of a worker's calls, and the signal that it is used up.
#[derive(Debug)]
pub(crate) struct Retirement {
    pub(crate) quota: Arc<CallQuota>,
    due: Notify,
}

impl Retirement {
    /// Allows this many calls, or up to a tenth fewer by `chance`.
    pub(crate) fn new(calls: u64, chance: u64) -> Self {
        Self { quota: Arc::new(CallQuota::new(calls, chance)), due: Notify::new() }
    }

    /// Wakes the task that waits in [`Retirement::due`].
    pub(crate) fn fall_due(&self) {
        self.due.notify_one();
    }

    /// Completes after the start of the last call. May be called once.
    pub(crate) async fn due(&self) {
        self.due.notified().await;
    }
}
