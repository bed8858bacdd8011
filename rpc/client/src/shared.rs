//! State that the callers, the links and the task behind them share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use common::{Millis, TokioClock};
use rpc_metrics::ClientMetrics;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::latencies::Latencies;
use crate::link::Link;
use crate::pool::{FailureCodes, Input, Pool};
use crate::retry::Budget;
use crate::session::Config;
use crate::span::ContextHook;
use crate::stats::Counters;

/// State of a client.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) clock: TokioClock,
    pub(crate) config: Arc<Config>,
    pub(crate) settings: Settings,
    /// Counted retries of all calls.
    pub(crate) budget: Budget,
    pub(crate) counters: Counters,
    /// Latencies of each method, if calls are hedged by them.
    pub(crate) latencies: Option<Latencies>,
    pub(crate) metrics: Arc<ClientMetrics>,
    pub(crate) context_hook: Option<ContextHook>,
    pool: Mutex<Pool<Arc<Link>>>,
    /// Wakes the task that keeps the links: the pool has outputs, or another deadline.
    work: Notify,
    /// Wakes all calls that wait for a link.
    changed: Notify,
    /// Wakes one of them: a link has room for one more.
    room: Notify,
}

/// Settings of calls and links, beside those of sessions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Time that a call waits for a link.
    pub(crate) patience: Millis,
    /// Time in which a connection must be made, hello included.
    pub(crate) connect_timeout: Millis,
    /// Maximum number of counted retries of one call.
    pub(crate) max_retries: u32,
    /// Codes of answers that count as failures of an instance.
    pub(crate) failure_codes: FailureCodes,
    /// Part of the calls of a method, in percent, that a call must be slower than to be hedged.
    pub(crate) hedge_percentile: Option<u32>,
}

impl Shared {
    pub(crate) fn new(config: Config, settings: Settings, budget: Budget, pool: Pool<Arc<Link>>) -> Self {
        Self {
            clock: TokioClock::start(),
            metrics: Arc::new(ClientMetrics::new(&config.service)),
            context_hook: None,
            config: Arc::new(config),
            settings,
            budget,
            counters: Counters::default(),
            latencies: settings.hedge_percentile.map(Latencies::new),
            pool: Mutex::new(pool),
            work: Notify::new(),
            changed: Notify::new(),
            room: Notify::new(),
        }
    }

    pub(crate) fn pool(&self) -> MutexGuard<'_, Pool<Arc<Link>>> {
        // The pool does not panic. If it did, its links could still be used.
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Completes at the next change of the links after it was enabled.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Completes when another call has ended, for one of the calls that wait.
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
