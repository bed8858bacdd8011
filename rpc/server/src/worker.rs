//! A worker process from its first breath to its last: announced, serving, draining, gone.

use std::convert::Infallible;
use std::future::pending;
use std::net::{self, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use std::{io, process};

use registry::{Credentials, Instance};
use rpc_prefork::{DeadWorker, Stop, Worker};
use rpc_wire::INSTANCE_FIELD;
use tokio::net::TcpListener;
use tokio::net::unix::pipe;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio::{runtime, select};

use crate::announcer::Announcer;
use crate::quota::Quota;
use crate::{Limits, Server, Service, log};

/// What every worker of a service does alike.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The registry to announce in, if any.
    pub(crate) zookeeper: Option<String>,
    pub(crate) service_name: Option<String>,
    /// What clients are told to connect to.
    pub(crate) host: Option<String>,
    pub(crate) session_timeout: Duration,
    pub(crate) connect_timeout: Duration,
    /// How often to tell the parent that the runtime runs, if it wants to know.
    pub(crate) heartbeat: Option<Duration>,
    /// After how many calls a worker asks to be replaced, if at all.
    pub(crate) max_calls: Option<u64>,
    pub(crate) farewell: Duration,
    pub(crate) limits: Limits,
}

impl Plan {
    /// The time that a worker has to leave; any bounds may be set, so it may be for ever.
    pub(crate) fn grace(&self) -> Duration {
        let rest = 2 * GOODBYE + Duration::from_secs(1);
        self.farewell.saturating_add(self.limits.drain_timeout).saturating_add(rest)
    }
}

/// What every worker finds when it starts.
pub(crate) struct Site<'a> {
    pub(crate) plan: &'a Plan,
    /// Its own, so that the port is free as soon as it accepts no more, whatever still runs.
    pub(crate) listener: net::TcpListener,
    pub(crate) addr: SocketAddr,
    pub(crate) on_usr1: Option<&'a dyn Fn()>,
}

/// Runs in the child; gives its exit status, 0 if nothing is left to be cleaned up.
pub(crate) fn run(worker: &Worker, site: Site<'_>, service: impl FnOnce() -> Service) -> i32 {
    let served = runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::from);
    let served = served.and_then(|runtime| runtime.block_on(serve(worker, site, service)));
    match served {
        Ok(()) => 0,
        Err(error) => {
            log::say(|| tracing::error!(slot = worker.slot(), pid = process::id(), %error, "worker failed"));
            // A parent that is gone needs no reason any more.
            let _ = worker.last_words(&error.to_string());
            1
        }
    }
}

/// Closes the session of a worker that did not do so itself; runs in a process of its own.
pub(crate) fn close_session_of(dead: &DeadWorker<'_>, servers: &str) {
    let Some(credentials) = Credentials::from_bytes(dead.note) else { return };
    let closed = runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::from).and_then(
        |runtime| {
            runtime.block_on(registry::close_session(servers, &credentials, GOODBYE)).map_err(Failure::from)
        },
    );
    let (slot, pid) = (dead.slot, dead.pid);
    match closed {
        Ok(()) => log::say(|| tracing::info!(slot, pid, ?credentials, "the dead worker's session is closed")),
        Err(error) => log::say(|| {
            tracing::warn!(slot, pid, %error, "the dead worker stays announced until its session expires");
        }),
    }
}

/// Why a worker could not start, or left something behind.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Registry(#[from] registry::Error),
    #[error(
        "the registry did not answer the goodbye in time; what is announced goes when the session expires"
    )]
    NoGoodbye,
    #[error("the registry took the session, but did not answer in time when the worker was to be announced")]
    Unannounced,
}

async fn serve(worker: &Worker, site: Site<'_>, service: impl FnOnce() -> Service) -> Result<(), Failure> {
    let Site { plan, listener, addr, on_usr1 } = site;
    let stop = pipe::Receiver::from_owned_fd(worker.stop_fd().try_clone_to_owned()?)?;
    let usr1 = pipe::Receiver::from_owned_fd(worker.usr1_fd().try_clone_to_owned()?)?;
    let mut service = service();
    if let Some(name) = &plan.service_name {
        service = service.with_name(name);
    }
    let name = service.name().to_owned();
    let server = Server::new(service).limits(plan.limits.clone()).shared_listener(true);
    let quota = plan.max_calls.map(|calls| Arc::new(Quota::new(calls, process::id().into())));
    let server = server.quota(quota.clone());
    let host = plan.host.clone().unwrap_or_else(|| addr.ip().to_string());
    let instance = Instance::new(host, addr.port())
        .with("pid", process::id())
        .with("slot", worker.slot())
        .with(INSTANCE_FIELD, server.identity());

    let announcer = Announcer::new(worker, plan, name, instance);
    let mut at_last = Box::pin(announcer.announce_at_last());
    // Announced before anything is accepted: whoever gets a hello can know us. But who is missed does not wait for a
    // registry that is away.
    let urgent = worker.is_urgent();
    let announced = select! {
        announced = announcer.announce(), if !urgent => Some(announced?),
        announced = &mut at_last, if urgent => Some(announced),
        () = sleep(MISSED), if urgent => None,
        () = asked(&stop) => return announcer.say_goodbye().await,
    };
    if announced.is_none() {
        log::say(|| {
            tracing::warn!(
                slot = worker.slot(),
                "the registry is away; serving unannounced until it is back"
            );
        });
    }
    worker.ready(&announcer.note())?;
    let listener = TcpListener::from_std(listener)?;
    let open = server.open_connections();
    let leave = async {
        let registration = match announced {
            Some(registration) => registration,
            None => select! {
                registration = &mut at_last => registration,
                () = asked(&stop) => None,
            },
        };
        // Whatever it has begun is not to be finished any more.
        drop(at_last);
        match registration {
            Some(registration) => announcer.withdraw_when_asked(&stop, registration).await,
            None => asked(&stop).await,
        }
        if worker.stop_requested() != Some(Stop::Quick) {
            unheard(open, plan.farewell).await;
        }
    };
    select! {
        drained = server.serve(listener, leave) => drop(drained?),
        () = hurried(worker, &stop) => {
            log::say(|| tracing::warn!("asked to leave at once: calls that still run are cut"));
        }
        never = told(on_usr1, &usr1) => match never {},
        never = beat(worker, plan.heartbeat) => match never {},
        never = retire(worker, quota.as_deref()) => match never {},
    }
    announcer.say_goodbye().await
}

/// Completes when the worker has been asked to leave; at once from then on.
pub(crate) async fn asked(stop: &pipe::Receiver) {
    // Nobody reads from it, so it stays readable. An error means that the runtime has ended.
    let _ = stop.readable().await;
}

/// Completes a moment after the worker has been asked to leave quickly.
async fn hurried(worker: &Worker, stop: &pipe::Receiver) {
    asked(stop).await;
    while worker.stop_requested() != Some(Stop::Quick) {
        // It is leaving, with time; the descriptor stays readable and does not tell of a second request.
        sleep(LOOK_AGAIN).await;
    }
    sleep(QUICK_DRAIN).await;
}

/// Runs the hook whenever `USR1` comes.
async fn told(hook: Option<&dyn Fn()>, usr1: &pipe::Receiver) -> Infallible {
    let Some(hook) = hook else { pending().await };
    // An error means that the runtime has ended.
    while usr1.readable().await.is_ok() {
        let mut came = false;
        while usr1.try_read(&mut [0; 64]).is_ok_and(|read| read > 0) {
            came = true;
        }
        if came && catch_unwind(AssertUnwindSafe(hook)).is_err() {
            // Its own state is its own; calls that run share nothing with it that it did not choose to share.
            log::say(|| tracing::error!("the hook `on_usr1` panicked; going on"));
        }
    }
    pending().await
}

/// Tells the parent at every turn that this runtime runs.
async fn beat(worker: &Worker, every: Option<Duration>) -> Infallible {
    let Some(every) = every else { pending().await };
    loop {
        // That the parent is gone is told by a signal.
        let _ = worker.heartbeat();
        sleep(every).await;
    }
}

/// Asks to be replaced when enough calls have been started.
async fn retire(worker: &Worker, quota: Option<&Quota>) -> Infallible {
    let Some(quota) = quota else { pending().await };
    quota.used_up().await;
    if let Err(error) = worker.retire() {
        log::say(|| tracing::warn!(%error, "the parent does not know that this worker wants to be replaced"));
    }
    pending().await
}

/// Waits until the clients have heard that we are not announced any more, and closed their connections.
async fn unheard(mut open: watch::Receiver<usize>, bound: Duration) {
    let _ = timeout(bound, open.wait_for(|open| *open == 0)).await;
}

/// How long the registry may take to hear each of our last words.
pub(crate) const GOODBYE: Duration = Duration::from_secs(2);

/// How long running calls may take after a request to leave quickly.
pub(crate) const QUICK_DRAIN: Duration = Duration::from_secs(1);

/// Time that a worker that clients miss waits for the registry before it serves unannounced.
const MISSED: Duration = Duration::from_millis(200);

const LOOK_AGAIN: Duration = Duration::from_millis(20);
