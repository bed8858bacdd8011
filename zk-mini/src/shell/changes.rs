//! News of changes, for those who wait for a condition.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// Number of those who wait, and the way to tell them. Without them a change costs one look.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    waiting: AtomicUsize,
    news: Notify,
}

/// One who waits.
#[derive(Debug)]
pub(crate) struct Watching<'a>(&'a Changes);

impl Changes {
    /// Begins to wait. Create the futures of [`Watching::changed`] before the look at the state.
    pub(crate) fn watch(&self) -> Watching<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Watching(self)
    }

    /// Tells of a change, after the state is unlocked: its lock orders this after those who looked at it before.
    pub(crate) fn tell(&self) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.news.notify_waiters();
        }
    }
}

impl Watching<'_> {
    /// Returns a future that ends after a change that comes after this call.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.0.news.notified()
    }
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
