//! The end of a worker's quota of calls.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::session::CallQuota;

/// A quota that can be waited for.
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

    /// Notes that the last call has been started.
    pub(crate) fn use_up(&self) {
        self.used_up.notify_one();
    }

    /// Completes when the last call has been started, even if that was before; once.
    pub(crate) async fn used_up(&self) {
        self.used_up.notified().await;
    }
}
