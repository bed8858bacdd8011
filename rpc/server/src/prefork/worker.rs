//! The life of a worker process: it registers, serves, drains and exits.

use std::convert::Infallible;
use std::future::pending;
use std::net::{self, SocketAddr};
use std::process;
use std::sync::Arc;
use std::time::Duration;

use common::log::{quietly, survive};
use registry::{Credentials, Instance};
use rpc_prefork::{DeadWorker, Stop, Worker};
use rpc_wire::INSTANCE_FIELD;
use tokio::net::TcpListener;
use tokio::net::unix::pipe;
use tokio::runtime::{self, Runtime};
use tokio::select;
use tokio::time::{sleep, timeout};

use super::announcer::Announcer;
use super::plan::{GOODBYE, Plan, QUICK_DRAIN, WorkerError, stop_asked};
use crate::open_connections::OpenConnections;
use crate::retirement::Retirement;
use crate::server::Server;
use crate::service::Service;

/// Wait of an urgent worker for the registry before it serves unregistered.
const URGENT_WAIT: Duration = Duration::from_millis(200);

/// Pause between two checks for a second, more urgent request to stop.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Parts that a worker gets from its parent.
pub(crate) struct WorkerSetup<'a> {
    pub(crate) plan: &'a Plan,
    /// Its own copy: the port is free as soon as every worker has closed its copy, even while calls still run.
    pub(crate) listener: net::TcpListener,
    pub(crate) addr: SocketAddr,
    pub(crate) on_usr1: Option<&'a dyn Fn()>,
}

/// Runs the worker in the child and returns the exit status: 0 if nothing is left to clean up.
pub(crate) fn run(worker: &Worker, setup: WorkerSetup<'_>, service: impl FnOnce() -> Service) -> i32 {
    let served = build_runtime().and_then(|runtime| runtime.block_on(serve(worker, setup, service)));
    match served {
        Ok(()) => 0,
        Err(error) => {
            quietly(|| tracing::error!(slot = worker.slot(), pid = process::id(), %error, "worker failed"));
            // An error means that the parent is gone and needs no reason.
            let _ = worker.last_words(&error.to_string());
            1
        }
    }
}

fn build_runtime() -> Result<Runtime, WorkerError> {
    Ok(runtime::Builder::new_current_thread().enable_all().build()?)
}

/// Closes the session of a worker that died without doing so. Runs in a helper process.
pub(crate) fn close_session_of(dead: &DeadWorker<'_>, servers: &str) {
    let Some(credentials) = Credentials::from_bytes(dead.note) else { return };
    let close =
        |runtime: Runtime| Ok(runtime.block_on(registry::close_session(servers, &credentials, GOODBYE))?);
    let closed: Result<(), WorkerError> = build_runtime().and_then(close);
    let (slot, pid) = (dead.slot, dead.pid);
    match closed {
        Ok(()) => quietly(|| tracing::info!(slot, pid, ?credentials, "the dead worker's session is closed")),
        Err(error) => quietly(|| {
            tracing::warn!(slot, pid, %error, "the dead worker stays registered until its session expires");
        }),
    }
}

/// Registers the worker, serves until it is asked to stop, and cleans up.
async fn serve(
    worker: &Worker,
    setup: WorkerSetup<'_>,
    service: impl FnOnce() -> Service,
) -> Result<(), WorkerError> {
    let WorkerSetup { plan, listener, addr, on_usr1 } = setup;
    let stop = pipe::Receiver::from_owned_fd(worker.stop_fd().try_clone_to_owned()?)?;
    let usr1 = pipe::Receiver::from_owned_fd(worker.usr1_fd().try_clone_to_owned()?)?;
    let mut service = service();
    if let Some(name) = &plan.service_name {
        service = service.with_name(name);
    }
    let name = service.name().to_owned();
    let retirement = plan.max_calls.map(|calls| Arc::new(Retirement::new(calls, process::id().into())));
    let server =
        Server::new(service).limits(plan.limits.clone()).shared_listener(true).retirement(retirement.clone());

    let announcer = Announcer::new(worker, plan, name, instance(worker, plan, addr, server.identity()));
    let mut at_last = Box::pin(announcer.announce_at_last());
    // Registers before it accepts, so that a client that connects can compare the identity. An urgent worker does not
    // wait for a registry that is away.
    let urgent = worker.is_urgent();
    let registered = select! {
        registered = announcer.announce(), if !urgent => Some(registered?),
        registered = &mut at_last, if urgent => Some(registered),
        () = sleep(URGENT_WAIT), if urgent => None,
        () = stop_asked(&stop) => return announcer.say_goodbye().await,
    };
    if registered.is_none() {
        quietly(|| {
            tracing::warn!(
                slot = worker.slot(),
                "the registry is away; serving unregistered until it is back"
            );
        });
    }
    worker.ready(&announcer.note())?;
    let listener = TcpListener::from_std(listener)?;
    let open = server.open_connections();
    let leave = async {
        let registration = match registered {
            Some(registration) => registration,
            None => select! {
                registration = &mut at_last => registration,
                () = stop_asked(&stop) => None,
            },
        };
        // Abandons an attempt that is still in progress.
        drop(at_last);
        match registration {
            Some(registration) => announcer.withdraw_when_asked(&stop, registration).await,
            None => stop_asked(&stop).await,
        }
        if worker.stop_requested() != Some(Stop::Quick) {
            clients_gone(open, plan.farewell).await;
        }
    };
    select! {
        drained = server.serve(listener, leave) => drop(drained?),
        () = hurried(worker, &stop) => {
            quietly(|| tracing::warn!("asked to stop quickly: calls that still run are cut off"));
        }
        never = run_usr1_hook(on_usr1, &usr1) => match never {},
        never = send_heartbeats(worker, plan.heartbeat) => match never {},
        never = retire_when_due(worker, retirement.as_deref()) => match never {},
    }
    announcer.say_goodbye().await
}

/// Describes this worker for the registry.
fn instance(worker: &Worker, plan: &Plan, addr: SocketAddr, identity: &str) -> Instance {
    let host = plan.host.clone().unwrap_or_else(|| addr.ip().to_string());
    Instance::new(host, addr.port())
        .with("pid", process::id())
        .with("slot", worker.slot())
        .with(INSTANCE_FIELD, identity)
}

/// Completes [`QUICK_DRAIN`] after the worker has been asked to stop quickly.
async fn hurried(worker: &Worker, stop: &pipe::Receiver) {
    stop_asked(stop).await;
    while worker.stop_requested() != Some(Stop::Quick) {
        // It stops gracefully. The descriptor is readable already, so it cannot signal a second request.
        sleep(LOOK_AGAIN).await;
    }
    sleep(QUICK_DRAIN).await;
}

/// Runs the hook on each `USR1`.
async fn run_usr1_hook(hook: Option<&dyn Fn()>, usr1: &pipe::Receiver) -> Infallible {
    let Some(hook) = hook else { pending().await };
    // An error means that the runtime has ended.
    while usr1.readable().await.is_ok() {
        let mut came = false;
        while usr1.try_read(&mut [0; 64]).is_ok_and(|read| read > 0) {
            came = true;
        }
        // Calls share no state with the hook unless the user's code does so.
        if came && let Err(why) = survive(hook) {
            quietly(|| tracing::error!("the hook `on_usr1` {why}; going on"));
        }
    }
    pending().await
}

/// Sends heartbeats, which stop when the runtime hangs.
async fn send_heartbeats(worker: &Worker, every: Option<Duration>) -> Infallible {
    let Some(every) = every else { pending().await };
    loop {
        // An error means that the parent is gone; a signal tells that.
        let _ = worker.heartbeat();
        sleep(every).await;
    }
}

/// Asks to be replaced once the quota of calls is used up.
async fn retire_when_due(worker: &Worker, retirement: Option<&Retirement>) -> Infallible {
    let Some(retirement) = retirement else { pending().await };
    retirement.due().await;
    if let Err(error) = worker.retire() {
        quietly(|| tracing::warn!(%error, "cannot ask the parent to be replaced"));
    }
    pending().await
}

/// Waits until all clients have noticed that this worker has left the registry and closed their connections.
async fn clients_gone(mut open: OpenConnections, bound: Duration) {
    let _ = timeout(bound, open.all_closed()).await;
}
