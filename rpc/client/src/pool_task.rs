//! The task of the pool: makes and closes the links that the pool asks for, and follows the registry.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use common::Millis;
use common::log::quietly;
use registry::{Subscription, unix_ms};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::connector::Connect;
use crate::link::{Link, SharedSession};
use crate::link_task::{LinkTask, News};
use crate::pool::{Input, LinkId, Output};
use crate::session::{self, Session};
use crate::shared::Shared;
use crate::targets;
use crate::targets::Targets;

/// Origin of the addresses.
#[derive(Debug)]
pub(crate) enum Source {
    Fixed,
    Registry { subscription: Subscription, max_connections: usize },
}

impl Source {
    /// Waits for the next targets; for ever if they do not change any more.
    async fn next(&mut self) -> Targets {
        match self {
            Self::Registry { subscription, max_connections } => match subscription.changed().await {
                Some(members) => targets::targets(&members, *max_connections, unix_ms()),
                // The registry has been closed: the last members stay.
                None => {
                    *self = Self::Fixed;
                    pending().await
                }
            },
            Self::Fixed => pending().await,
        }
    }
}

/// Keeps the links that the pool wants, until it is dropped; then the links end, too.
pub(crate) async fn run_pool(shared: Arc<Shared>, connector: Arc<dyn Connect>, mut source: Source) {
    let mut links = JoinSet::new();
    loop {
        let deadline = perform(&shared, &connector, &mut links);
        tokio::select! {
            biased;
            () = shared.work() => {}
            () = shared.clock.sleep_until(deadline) => shared.feed(Input::Timeout),
            targets = source.next() => shared.feed(Input::Targets(targets)),
            Some(_) = links.join_next() => {}
        }
    }
}

/// Performs the pool's outputs; returns the time of its next timeout.
fn perform(shared: &Arc<Shared>, connector: &Arc<dyn Connect>, links: &mut JoinSet<()>) -> Option<Millis> {
    let mut pool = shared.pool();
    while let Some(output) = pool.poll_output() {
        match output {
            Output::Connect { id, addr } => {
                links.spawn(run_link(shared.clone(), connector.clone(), id, addr));
            }
            Output::Close { handle } => {
                handle.session.handle(shared.clock.now(), session::Input::Leave);
            }
        }
    }
    pool.poll_deadline()
}

/// Connects, and serves the link until it ends.
async fn run_link(shared: Arc<Shared>, connector: Arc<dyn Connect>, id: LinkId, addr: String) {
    let deadline = shared.clock.now() + shared.settings.connect_timeout;
    let connecting = connector.connect(&addr);
    let stream = match timeout(Duration::from(shared.settings.connect_timeout), connecting).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return failed(&shared, id, &addr, &error.to_string()),
        Err(_) => return failed(&shared, id, &addr, "no connection in time"),
    };
    let session = Session::new(Arc::clone(&shared.config), deadline);
    let session = Arc::new(SharedSession::new(session));
    let (clock, max_frame) = (shared.clock, shared.config.max_frame);
    let mut link: Option<Arc<Link>> = None;
    let tell = |news| match news {
        News::Greeted { instance } => {
            let counters = shared.counters.instance(&instance, &addr);
            let new = Link { instance: instance.clone(), counters, session: Arc::clone(&session) };
            let handle = Arc::clone(link.insert(Arc::new(new)));
            shared.feed(Input::Connected { id, instance, handle });
        }
        News::GoingAway => shared.feed(Input::GoingAway { id }),
        News::Alive => shared.pool().heard(id),
        News::Closed(ending) => match &link {
            Some(link) => {
                shared.feed(Input::Lost { id, reason: ending.to_string().into() });
                quietly(|| tracing::debug!(addr, instance = ?link.instance, %ending, "connection ended"));
            }
            None => failed(&shared, id, &addr, &ending.to_string()),
        },
    };
    LinkTask::new(Arc::clone(&session), clock, max_frame, tell).run(stream).await;
}

fn failed(shared: &Shared, id: LinkId, addr: &str, reason: &str) {
    let reason = format!("{addr}: {reason}");
    quietly(|| tracing::debug!(reason, "cannot connect"));
    shared.feed(Input::Failed { id, reason });
}
