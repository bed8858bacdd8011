//! The life of a worker process: it registers, serves, drains and exits.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::net::{self, SocketAddr};
use std::process;
use std::sync::Arc;
use std::time::Duration;

use common::log::{quietly, survive};
use registry::{Credentials, Instance, RegisterOptions, Registry, Value};
use rpc_metrics::ServerMetrics;
use rpc_prefork::{DeadWorker, Stop, Worker};
use rpc_wire::{DIRECT_FIELD, INSTANCE_FIELD};
use tokio::net::TcpListener;
use tokio::net::unix::pipe;
use tokio::runtime::{self, Runtime};
use tokio::select;
use tokio::time::{sleep, timeout};

use super::plan::{Access, Plan, QUICK_DRAIN, WorkerError, stop_asked};
use super::session;
use crate::announce::announcer::{Announcer, GOODBYE, clients_gone};
use crate::chance::seed_of;
use crate::retirement::Retirement;
use crate::server::Server;

/// Wait of an urgent worker for the registry before it serves unregistered.
const URGENT_WAIT: Duration = Duration::from_millis(200);

/// Pause between two checks for a second, more urgent request to stop.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Interval at which a worker shows its metrics to the parent.
const POST_EVERY: Duration = Duration::from_millis(500);

/// Parts that a worker gets from its parent.
pub(crate) struct WorkerSetup<'a> {
    pub(crate) plan: &'a Plan,
    /// Its own copy: the port is free as soon as every worker has closed its copy, even while calls still run.
    pub(crate) listener: net::TcpListener,
    pub(crate) addr: SocketAddr,
    pub(crate) on_usr1: Option<&'a dyn Fn()>,
}

/// Runs the worker in the child and returns the exit status: 0 if nothing is left to clean up.
pub(crate) fn run(worker: &Worker, setup: WorkerSetup<'_>, server: impl FnOnce() -> Server) -> i32 {
    let runtime = match build_runtime() {
        Ok(runtime) => runtime,
        Err(error) => return failed(worker, &error),
    };
    // Before the runtime ends, which may run destructors of the user's.
    match runtime.block_on(serve(worker, setup, server)) {
        Ok(()) => 0,
        Err(error) => failed(worker, &error),
    }
}

/// Reports the failure of a worker, and returns its exit status.
fn failed(worker: &Worker, error: &WorkerError) -> i32 {
    quietly(|| tracing::error!(slot = worker.slot(), pid = process::id(), %error, "worker failed"));
    // An error means that the parent is gone and needs no reason.
    let _ = worker.last_words(&error.to_string());
    1
}

/// Runtime of a process that ends with it. Dropping it does not wait for threads that block, in a handler's `spawn_blocking` or in
/// a look-up of a name.
struct LastRuntime(Option<Runtime>);

impl LastRuntime {
    fn block_on<T>(&self, future: impl Future<Output = Result<T, WorkerError>>) -> Result<T, WorkerError> {
        // Taken by its destructor only.
        let Some(runtime) = &self.0 else { return Err(io::Error::other("the runtime has ended").into()) };
        runtime.block_on(future)
    }
}

impl Drop for LastRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

fn build_runtime() -> Result<LastRuntime, WorkerError> {
    Ok(LastRuntime(Some(runtime::Builder::new_current_thread().enable_all().build()?)))
}

/// Closes the session of a worker that died without doing so. Runs in a helper process.
pub(crate) fn close_session_of(dead: &DeadWorker<'_>, access: &Access, servers: &str) {
    let Some(credentials) = Credentials::from_bytes(dead.note) else { return };
    let close = |runtime: LastRuntime| {
        let registry = access.to(servers);
        runtime.block_on(async { Ok(registry.close_session(&credentials, GOODBYE).await?) })
    };
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
    server: impl FnOnce() -> Server,
) -> Result<(), WorkerError> {
    let WorkerSetup { plan, listener, addr, on_usr1 } = setup;
    let stop = pipe::Receiver::from_owned_fd(worker.stop_fd().try_clone_to_owned()?)?;
    let usr1 = pipe::Receiver::from_owned_fd(worker.usr1_fd().try_clone_to_owned()?)?;
    let mut server = server();
    if let Some(name) = &plan.service_name {
        server = server.rename_first(name)?;
    }
    server.check_names()?;
    let services = server.service_names();
    let seed = seed_of(server.identity());
    let retirement = plan.max_calls.map(|calls| Arc::new(Retirement::new(calls, seed)));
    let server = server.limits(plan.limits.clone()).shared_listener(true).retirement(retirement.clone());
    #[cfg(feature = "tls")]
    let server = match &plan.tls {
        Some(tls) => server.tls(tls.clone()),
        None => server,
    };

    let urgent = worker.is_urgent();
    let registry = select! {
        registry = session::open(plan, urgent) => registry?,
        () = stop_asked(&stop) => return Ok(()),
    };
    let own = if registry.is_some() && plan.direct_ports { own_listener(worker, addr) } else { None };
    let direct = own.as_ref().and_then(|own| own.local_addr().ok());
    let instance = instance(worker, plan, addr, direct, server.identity());
    let tell = |registry: &Registry| session::tell(worker, registry);
    let announcer = registry
        .clone()
        .map(|registry| Announcer::new(registry, services, instance, RegisterOptions::default(), seed, tell));
    let mut entries = announcer.as_ref().map(Announcer::entries);
    // Registers before it accepts, so that a client that connects can compare the identity. An urgent worker does not
    // wait for a registry that is away.
    if let (Some(announcer), Some(entries)) = (&announcer, &mut entries) {
        select! {
            registered = timeout(plan.connect_timeout, announcer.announce()), if !urgent => {
                entries.are_made(registered.map_err(|_| WorkerError::NotRegistered)??);
            }
            () = entries.all_made(), if urgent => {}
            () = sleep(URGENT_WAIT), if urgent => {
                let slot = worker.slot();
                quietly(|| tracing::warn!(slot, "the registry is away; serving unregistered until it is back"));
            }
            () = stop_asked(&stop) => return session::say_goodbye(worker, registry).await,
        }
    }
    worker.ready(&session::note(registry.as_ref()))?;
    let listener = TcpListener::from_std(listener)?;
    let server = match own {
        Some(own) => server.also_listen(TcpListener::from_std(own)?),
        None => server,
    };
    let (open, metrics) = (server.open_connections(), server.metrics());
    let leave = async {
        match announcer.as_ref().zip(entries) {
            Some((announcer, entries)) => announcer.keep(entries, stop_asked(&stop)).await,
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
        never = post_metrics(worker, &metrics) => match never {},
        never = retire_when_due(worker, retirement.as_deref()) => match never {},
    }
    post(worker, &metrics);
    session::say_goodbye(worker, registry).await
}

/// Listens on a port of this worker alone, at the host of the shared one. Without it clients take the shared port.
fn own_listener(worker: &Worker, shared: SocketAddr) -> Option<net::TcpListener> {
    let mut own = shared;
    own.set_port(0);
    match rpc_prefork::bind(own) {
        Ok(listener) => Some(listener),
        Err(error) => {
            quietly(|| tracing::warn!(slot = worker.slot(), %error, "no port of this worker's own"));
            None
        }
    }
}

/// Describes this worker for the registry.
fn instance(
    worker: &Worker,
    plan: &Plan,
    shared: SocketAddr,
    direct: Option<SocketAddr>,
    identity: &str,
) -> Instance {
    let host = plan.host.clone().unwrap_or_else(|| shared.ip().to_string());
    let instance = Instance::new(host.clone(), shared.port())
        .with("pid", process::id())
        .with("slot", worker.slot())
        .with(INSTANCE_FIELD, identity);
    match direct {
        Some(direct) => {
            let address = [("host".into(), host.into()), ("port".into(), direct.port().into())];
            instance.with(DIRECT_FIELD, Value::Object(address.into_iter().collect()))
        }
        None => instance,
    }
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

/// Shows the metrics to the parent, for its status port.
async fn post_metrics(worker: &Worker, metrics: &ServerMetrics) -> Infallible {
    if !worker.posts_metrics() {
        return pending().await;
    }
    loop {
        post(worker, metrics);
        sleep(POST_EVERY).await;
    }
}

fn post(worker: &Worker, metrics: &ServerMetrics) {
    if worker.posts_metrics()
        && let Err(error) = worker.post(&metrics.snapshot())
    {
        quietly(|| tracing::warn!(%error, "cannot show the metrics to the parent"));
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
