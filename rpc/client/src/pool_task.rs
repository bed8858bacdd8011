//! The task of the pool: makes and closes the links that the pool asks for, and follows the registry.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use common::Millis;
use common::log::quietly;
use registry::{Members, Subscription, unix_ms};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::connector::Connect;
use crate::link::{Link, SharedSession};
use crate::link_task::{LinkTask, News};
use crate::pool::{Input, LinkId, Output};
use crate::session::{self, Session};
use crate::shared::Shared;
use crate::targets::{Report, Routes};

/// Time after which a connection that is not made yet counts as slow.
const SLOW: Duration = Duration::from_millis(500);

/// Origin of the addresses: the registry. Fixed ones have none.
#[derive(Debug)]
pub(crate) struct Source {
    /// `None` once the registry has been closed: the last members stay.
    pub(crate) subscription: Option<Subscription>,
    pub(crate) routes: Routes,
}

impl Source {
    /// Waits for the next members; for ever if they do not change any more.
    async fn next(&mut self) -> Arc<Members> {
        if let Some(subscription) = &mut self.subscription {
            if let Some(members) = subscription.changed().await {
                return members;
            }
            self.subscription = None;
        }
        pending().await
    }
}

/// Experiences of the links with their addresses.
type Reports = mpsc::UnboundedSender<(String, Report)>;

/// Keeps the links that the pool wants, until it is dropped; then the links end, too.
pub(crate) async fn run_pool(shared: Arc<Shared>, connector: Arc<dyn Connect>, mut source: Option<Source>) {
    let mut links = JoinSet::new();
    // Not bounded: a link sends a few at most.
    let (reports, mut reported) = mpsc::unbounded_channel();
    loop {
        let deadline = perform(&shared, &connector, &mut links, &reports);
        let next_route = source.as_ref().and_then(|source| source.routes.poll_deadline());
        let next_members = async {
            match &mut source {
                Some(source) => source.next().await,
                None => pending().await,
            }
        };
        let clock = shared.clock;
        let changed = tokio::select! {
            biased;
            () = shared.work() => false,
            () = clock.sleep_until(deadline) => {
                shared.feed(Input::Timeout);
                false
            }
            members = next_members => source.as_mut().is_some_and(|source| {
                source.routes.handle_members(clock.now(), members);
                true
            }),
            Some((addr, report)) = reported.recv() => source
                .as_mut()
                .is_some_and(|source| source.routes.handle_report(clock.now(), &addr, &report)),
            () = clock.sleep_until(next_route) => {
                source.as_mut().is_some_and(|source| source.routes.handle_timeout(clock.now()))
            }
            Some(_) = links.join_next() => false,
        };
        if let Some(source) = source.as_ref().filter(|_| changed) {
            shared.feed(Input::Targets(source.routes.targets(unix_ms())));
        }
    }
}

/// Performs the pool's outputs; returns the time of its next timeout.
fn perform(
    shared: &Arc<Shared>,
    connector: &Arc<dyn Connect>,
    links: &mut JoinSet<()>,
    reports: &Reports,
) -> Option<Millis> {
    let mut pool = shared.pool();
    while let Some(output) = pool.poll_output() {
        match output {
            Output::Connect { id, addr } => {
                links.spawn(run_link(shared.clone(), connector.clone(), reports.clone(), id, addr));
            }
            Output::Close { handle } => {
                handle.session.handle(shared.clock.now(), session::Input::Leave);
            }
        }
    }
    pool.poll_deadline()
}

/// Connects, and serves the link until it ends.
async fn run_link(
    shared: Arc<Shared>,
    connector: Arc<dyn Connect>,
    reports: Reports,
    id: LinkId,
    addr: String,
) {
    // An error means that the client is gone.
    let report = |report| drop(reports.send((addr.clone(), report)));
    let failed = |reason: &str| {
        failed(&shared, id, &addr, reason);
        report(Report::Failed);
    };
    let limit = shared.settings.connect_timeout;
    let deadline = shared.clock.now() + limit;
    let mut attempt = Connecting { shared: &shared, id, addr: &addr, has_ended: false };
    let mut connecting = pin!(timeout(limit.into(), connector.connect(&addr)));
    let connected = tokio::select! {
        biased;
        connected = &mut connecting => connected,
        () = sleep(SLOW) => {
            report(Report::Slow);
            connecting.await
        }
    };
    attempt.has_ended = true;
    let stream = match connected {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return failed(&error.to_string()),
        Err(_) => return failed("no connection in time"),
    };
    let session = Session::new(Arc::clone(&shared.config), deadline);
    let session = Arc::new(SharedSession::new(session));
    let (clock, max_frame) = (shared.clock, shared.config.max_frame);
    let mut link: Option<Arc<Link>> = None;
    let tell = |news| match news {
        News::Greeted { instance } => {
            let counters = shared.counters.instance(&instance, &addr);
            let metrics = shared.metrics.instance(&addr, &instance);
            let new = Link {
                instance: instance.clone(),
                addr: addr.clone(),
                counters,
                metrics,
                session: Arc::clone(&session),
            };
            let handle = Arc::clone(link.insert(Arc::new(new)));
            shared.feed(Input::Connected { id, instance: instance.clone(), handle });
            report(Report::Reached { instance });
        }
        News::GoingAway(code) => shared.feed(Input::GoingAway { id, code }),
        News::Alive => shared.pool().heard(id),
        News::Closed(ending) => match &link {
            Some(link) => {
                shared.feed(Input::Lost { id, reason: ending.to_string().into() });
                quietly(|| tracing::debug!(addr, instance = ?link.instance, %ending, "connection ended"));
            }
            None => failed(&ending.to_string()),
        },
    };
    let mut serving = pin!(LinkTask::new(Arc::clone(&session), clock, max_frame, tell).run(stream));
    tokio::select! {
        biased;
        () = &mut serving => return,
        () = sleep(SLOW) => {}
    }
    shared.pool().silent(id, format!("{addr}: it accepts connections and has not answered yet"));
    serving.await;
}

/// An attempt to connect. The pool learns of its end even if the connector panics.
struct Connecting<'a> {
    shared: &'a Shared,
    id: LinkId,
    addr: &'a str,
    has_ended: bool,
}

impl Drop for Connecting<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            failed(self.shared, self.id, self.addr, "the connector has panicked");
        }
    }
}

fn failed(shared: &Shared, id: LinkId, addr: &str, reason: &str) {
    let reason = format!("{addr}: {reason}");
    quietly(|| tracing::debug!(reason, "cannot connect"));
    shared.feed(Input::Failed { id, reason });
}
