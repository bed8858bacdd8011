//! State of a client that its callers, its links and the task that keeps them share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use common::{Clock, Millis};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::link::Link;
use crate::pool::{Input, Pool};
use crate::retry::Budget;
use crate::session::Config;
use crate::stats::Counters;

/// The state.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) config: Arc<Config>,
    pub(crate) connect_timeout: Millis,
    /// Maximum number of counted retries of one call.
    pub(crate) max_retries: u32,
    /// Counted retries of all calls.
    pub(crate) budget: Budget,
    pub(crate) counters: Counters,
    pool: Mutex<Pool<Arc<Link>>>,
    /// Wakes the task that keeps the links: the pool has outputs, or another deadline.
    work: Notify,
    /// Wakes all calls that wait for a link.
    changed: Notify,
    /// Wakes one of them: a link has room for one more.
    room: Notify,
}

impl Shared {
    pub(crate) fn new(
        config: Config,
        connect_timeout: Millis,
        max_retries: u32,
        budget: Budget,
        pool: Pool<Arc<Link>>,
    ) -> Self {
        Self {
            clock: Clock::start(),
            config: Arc::new(config),
            connect_timeout,
            max_retries,
            budget,
            counters: Counters::default(),
            pool: Mutex::new(pool),
            work: Notify::new(),
            changed: Notify::new(),
            room: Notify::new(),
        }
    }

    pub(crate) fn pool(&self) -> MutexGuard<'_, Pool<Arc<Link>>> {
        // The pool does not panic; if it did, its links would still be worth using.
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Completes at the next change of the links, counted from when it is enabled.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Completes, for one waiting call, when another call has ended.
    pub(crate) async fn room(&self) {
        self.room.notified().await;
    }

    pub(crate) fn give_room(&self) {
        self.room.notify_one();
    }

    /// Completes when the pool has been fed.
    pub(crate) async fn work(&self) {
        self.work.notified().await;
    }

    pub(crate) fn feed(&self, input: Input<Arc<Link>>) {
        self.pool().handle(self.clock.now(), input);
        self.work.notify_one();
        self.changed.notify_waiters();
    }
}
