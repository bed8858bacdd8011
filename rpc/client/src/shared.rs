//! State that the callers, the links and the task behind them share.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use common::{Millis, TokioClock};
use rpc_metrics::ClientMetrics;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::latencies::Latencies;
use crate::link::Link;
use crate::pool::{FailureCodes, Input, LinkOutcome, Picked, Pool};
use crate::retry::{Budget, RetryLimits};
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
    /// Number of those that wait for room.
    waiting: AtomicUsize,
}

/// Call that waits for room, as long as this is not dropped.
#[derive(Debug)]
pub(crate) struct Waiter<'a>(&'a AtomicUsize);

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
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
            waiting: AtomicUsize::new(0),
        }
    }

    /// Returns the bounds of the retries of a call that has so much time left.
    pub(crate) fn retry_limits(&self, time_left: Option<Millis>) -> RetryLimits<'_> {
        RetryLimits { max_counted: self.settings.max_retries, budget: &self.budget, time_left }
    }

    pub(crate) fn pool(&self) -> MutexGuard<'_, Pool<Arc<Link>>> {
        // The pool does not panic. If it did, its links could still be used.
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Completes at the next change of the links after it was enabled.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Announces a call that will wait for room, before it looks once more whether there is some.
    pub(crate) fn waiter(&self) -> Waiter<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waiter(&self.waiting)
    }

    /// Completes when another call ends from now on, for one of the calls that wait. Ask for it before looking for room: a call
    /// that ends meanwhile has then woken this waiter, and not only left a sign that serves one of several.
    pub(crate) fn room(&self) -> Pin<Box<Notified<'_>>> {
        let mut room = Box::pin(self.room.notified());
        room.as_mut().enable();
        room
    }

    /// Gives back a link on which nothing was started, and lets another call have the place.
    pub(crate) fn give_back(&self, now: Millis, picked: Picked) {
        let _ = self.pool().finish(now, picked, LinkOutcome::Neither, None);
        self.give_room();
    }

    /// Wakes a call that waits for room, after the pool was told of it. A waiter that this does not see has not looked yet, since
    /// both hold the lock of the pool for that.
    pub(crate) fn give_room(&self) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.room.notify_one();
        }
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

#[cfg(test)]
pub(crate) mod testing {
    //! A client's state for tests.

    use common::Backoff;

    use super::*;
    use crate::link::SharedSession;
    use crate::pool::{Balancer, OutlierEjection, Output, PoolConfig};
    use crate::session::Session;
    use crate::targets;

    /// Makes the state of a client with links that take one call each and whose sessions take none.
    pub(crate) fn shared_with_links(links: usize) -> Shared {
        let config = Config::for_tests();
        let outliers = OutlierEjection::default();
        let settings = Settings {
            patience: Millis(3_000),
            connect_timeout: Millis(2_000),
            max_retries: 2,
            failure_codes: outliers.failure_codes(),
            hedge_percentile: None,
        };
        let pool = PoolConfig {
            max_in_flight: 1,
            backoff: Backoff::new(Millis(50), Millis(5_000)),
            seed: 1,
            balancer: Balancer::default(),
            outliers,
            zone: None,
            warm_up: Millis(0),
        };
        let shared = Shared::new(config, settings, Budget::new(10, 0), Pool::new(pool));
        let addrs: Vec<String> = (0..links).map(|n| n.to_string()).collect();
        shared.feed(Input::Targets(targets::fixed(&addrs, 1)));
        loop {
            let Some(Output::Connect { id, addr }) = shared.pool().poll_output() else { return shared };
            let session = Session::new(Arc::clone(&shared.config), Millis(60_000));
            let link = Link {
                instance: addr.clone(),
                counters: shared.counters.instance(&addr, &addr),
                metrics: shared.metrics.instance(&addr, &addr),
                session: Arc::new(SharedSession::new(session)),
                addr: addr.clone(),
            };
            shared.feed(Input::Connected { id, instance: addr, handle: Arc::new(link) });
        }
    }
}
