//! The shell around the pool: connects, closes, follows the registry.

use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use registry::Subscription;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::connection::{Connection, News, Options};
use crate::pool::{ConnId, Input, Output, Pool};
use crate::retry::Budget;
use crate::stats::Counters;
use crate::targets::Targets;
use crate::{clock, hello, targets};

/// What callers, connections and the manager share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) service: String,
    pub(crate) options: Options,
    pub(crate) connect_timeout: Duration,
    /// Counted retries of one call.
    pub(crate) max_retries: u32,
    /// Counted retries of all calls.
    pub(crate) budget: Budget,
    pub(crate) counters: Counters,
    pool: Mutex<Pool<Arc<Connection>>>,
    /// When the pool's time began.
    epoch: Instant,
    /// The pool has outputs, or another deadline.
    work: Notify,
    /// A call that waits for a connection should look again.
    changed: Notify,
    /// The same, for one of them: a connection has room for one more.
    room: Notify,
}

impl Shared {
    pub(crate) fn new(
        service: String,
        options: Options,
        connect_timeout: Duration,
        max_retries: u32,
        budget: Budget,
        pool: Pool<Arc<Connection>>,
    ) -> Self {
        Self {
            service,
            options,
            connect_timeout,
            max_retries,
            budget,
            counters: Counters::default(),
            pool: Mutex::new(pool),
            epoch: clock::now(),
            work: Notify::new(),
            changed: Notify::new(),
            room: Notify::new(),
        }
    }

    pub(crate) fn pool(&self) -> MutexGuard<'_, Pool<Arc<Connection>>> {
        // The pool does not panic; if it did, its connections would still be worth using.
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Completes at the next change of the connections, from when it is enabled.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Completes, for one who waits, when a call has ended.
    pub(crate) async fn room(&self) {
        self.room.notified().await;
    }

    pub(crate) fn give_room(&self) {
        self.room.notify_one();
    }

    pub(crate) fn feed(&self, input: Input<Arc<Connection>>) {
        self.pool().handle(self.now(), input);
        self.work.notify_one();
        self.changed.notify_waiters();
    }

    fn now(&self) -> Duration {
        clock::now().duration_since(self.epoch)
    }
}

/// Where the addresses come from.
#[derive(Debug)]
pub(crate) enum Source {
    Fixed,
    Registry { subscription: Subscription, max_connections: usize },
}

impl Source {
    /// The next targets; never, if nothing will change any more.
    async fn next(&mut self) -> Targets {
        match self {
            Self::Registry { subscription, max_connections } => match subscription.changed().await {
                Some(members) => targets::targets(&members, *max_connections),
                // The registry has been closed: what was known last is what there is.
                None => {
                    *self = Self::Fixed;
                    pending().await
                }
            },
            Self::Fixed => pending().await,
        }
    }
}

/// Runs until it is dropped, and its connections with it.
pub(crate) async fn manage(shared: Arc<Shared>, mut source: Source) {
    let mut connections = JoinSet::new();
    loop {
        let deadline = perform(&shared, &mut connections);
        let due = async {
            match deadline {
                Some(at) => sleep_until(shared.epoch + at).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = shared.work.notified() => {}
            () = due => shared.feed(Input::Timeout),
            targets = source.next() => shared.feed(Input::Targets(targets)),
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Does what the pool asks for; returns when it wants to be asked again.
fn perform(shared: &Arc<Shared>, connections: &mut JoinSet<()>) -> Option<Duration> {
    let mut pool = shared.pool();
    while let Some(output) = pool.poll_output() {
        match output {
            Output::Connect { conn, addr } => {
                connections.spawn(connect_and_run(shared.clone(), conn, addr));
            }
            Output::Close { handle } => handle.close(),
        }
    }
    pool.poll_deadline()
}

async fn connect_and_run(shared: Arc<Shared>, conn: ConnId, addr: String) {
    let attempt = hello::connect(&addr, &shared.service, &shared.options);
    let greeted = match timeout(shared.connect_timeout, attempt).await {
        Ok(Ok(greeted)) => greeted,
        Ok(Err(error)) => return failed(&shared, conn, format!("{addr}: {error}")),
        Err(_) => return failed(&shared, conn, format!("{addr}: no hello in time")),
    };
    let counters = shared.counters.instance(&greeted.instance, &addr);
    let max_queued = shared.options.max_queued;
    let handle = Connection::new(greeted.instance.clone(), counters, greeted.server_max, max_queued);
    let handle = Arc::new(handle);
    shared.feed(Input::Connected { conn, instance: greeted.instance, handle: handle.clone() });
    let news = |news| match news {
        News::GoingAway => shared.feed(Input::GoingAway { conn }),
        News::Alive => shared.pool().heard(conn),
    };
    let reason = Arc::from("its runtime has ended");
    let mut ending = Ending { shared: &shared, conn, connection: &handle, reason };
    ending.reason = match handle.run(greeted.stream, greeted.input, &shared.options, news).await {
        Ok(()) => "it is closed".into(),
        Err(error) => {
            tracing::debug!(addr, instance = ?handle.instance, ?error, "connection lost");
            error.to_string().into()
        }
    };
}

/// Tells of the end of a connection, also if that is the end of its runtime: its callers may be on another one.
struct Ending<'a> {
    shared: &'a Shared,
    conn: ConnId,
    connection: &'a Connection,
    reason: Arc<str>,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        // In this order: whoever tries again is not sent here again.
        self.shared.feed(Input::Lost { conn: self.conn, reason: Arc::clone(&self.reason) });
        self.connection.complete_all(&self.reason);
    }
}

fn failed(shared: &Shared, conn: ConnId, reason: String) {
    tracing::debug!(reason, "cannot connect");
    shared.feed(Input::Failed { conn, reason });
}
