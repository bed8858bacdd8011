//! A service of several processes: one listener, N workers, each announced in the registry.

mod plan;
mod session;
mod worker;

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use rpc_prefork::Options;

use crate::announce::advertised;
use crate::announce::announcer::GOODBYE;
use crate::limits::Limits;
use crate::server::Server;

use plan::{Access, Plan, QUICK_DRAIN};
use worker::WorkerSetup;

/// Serves a [`Service`](crate::Service), or all that a [`Server`] has, from several worker processes on one address.
///
/// The parent binds the listener, forks the workers and supervises them. It runs no thread and no runtime, so call
/// [`Prefork::run`] from a plain `main`. Each worker builds its own single-threaded runtime and registers itself as an
/// instance of the service. A worker that dies is replaced at once, and its entry in the registry is removed on its behalf.
/// Once some worker has served, the service goes on until it is asked to stop, whatever happens to the registry.
///
/// | signal to the parent | effect |
/// | --- | --- |
/// | `TERM` | graceful stop: workers leave the registry, finish running calls, and exit |
/// | `INT`, `QUIT` | quick stop: like `TERM`, but calls that still run after 1 s are cut off |
/// | `HUP` | replaces all workers, one by one: each serves until its successor serves and is registered |
/// | `TTIN`, `TTOU` | adds or removes a worker |
/// | `USR1` | runs the hook of [`Prefork::on_usr1`], in the parent and in every worker |
/// | `USR2` | hot upgrade: starts the new program, and hands the listener over once its workers serve and are registered |
///
/// If systemd, or the old program of an upgrade, passes a listener, that one is served. With `Type=notify` systemd is told
/// of readiness, reload and stop. The crate `rpc-prefork` has the details.
///
/// Several services, health, layers, TLS, metrics and spans are those of the [`Server`] that each worker makes:
///
/// ```no_run
/// use rpc_server::{Context, HealthStatus, Prefork, PreforkError, Server, Service, Status};
///
/// fn worker(slot: u32) -> Server {
///     let slot = move |(): (), _: Context| async move { Ok::<_, Status>(slot) };
///     let server = Server::new(Service::builder("shop").method("slot", slot).build());
///     let server = server.add_service(Service::builder("stock").build()).expose_internal_errors(true);
///     server.health().set("stock", HealthStatus::NotServing); // until it has been filled
///     server
/// }
///
/// fn main() -> Result<(), PreforkError> {
///     Prefork::new(worker).run()
/// }
/// ```
///
/// ```no_run
/// use std::io::{Write, stdout};
///
/// use rpc_server::{Context, Prefork, PreforkError, PreforkOptions, Service, Status};
///
/// fn main() -> Result<(), PreforkError> {
///     let echo = |text: String, _: Context| async move { Ok::<_, Status>(text) };
///     Prefork::new(move |_slot| Service::builder("echo").method("echo", echo).build())
///         .listen("127.0.0.1:0")
///         .options(PreforkOptions::default().workers(4))
///         .zookeeper("127.0.0.1:2181")
///         .on_ready(|addr| {
///             let _ = writeln!(stdout(), "ready {addr}"); // `println!` panics when nobody reads
///         })
///         .run()
/// }
/// ```
#[must_use = "call run"]
pub struct Prefork<F> {
    server: F,
    listen: String,
    status: Option<String>,
    options: Options,
    plan: Plan,
    on_ready: Option<Box<dyn FnOnce(SocketAddr)>>,
    on_usr1: Option<Rc<dyn Fn()>>,
}

/// Reason for which a preforked service could not start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PreforkError {
    /// The supervisor's error.
    #[error(transparent)]
    Supervisor(#[from] rpc_prefork::Error),
    /// The listener cannot be used.
    #[error("cannot use the listener: {0}")]
    Listener(#[from] std::io::Error),
    /// The string of [`Prefork::zookeeper`] names no registry.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// The listener has no address that clients could be told.
    #[error("{0} stands for every address of this host; set the one for clients with `advertise`")]
    Advertise(SocketAddr),
}

impl<F: FnMut(u32) -> S, S: Into<Server>> Prefork<F> {
    /// Configures a server of several processes; start it with [`run`](Self::run).
    ///
    /// `server` makes the [`Server`] of each worker, or its only [`Service`](crate::Service), within the worker's runtime. Its
    /// argument is the worker's slot, from 0 up to one less than the number of workers. The limits of each worker are those of
    /// [`limits`](Self::limits), and it listens and is registered as is said here; all else is the server's.
    pub fn new(server: F) -> Self {
        let plan = Plan {
            zookeeper: None,
            registry: Access::default(),
            service_name: None,
            host: None,
            direct_ports: true,
            session_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            heartbeat: None,
            max_calls: None,
            farewell: Duration::from_millis(250),
            limits: Limits::default(),
            #[cfg(feature = "tls")]
            tls: None,
        };
        let (listen, options) = ("127.0.0.1:0".into(), Options::default());
        Self { server, listen, status: None, options, plan, on_ready: None, on_usr1: None }
    }

    /// Sets the address to listen on. A listener that systemd or `USR2` has passed takes precedence. Default: a free port
    /// of 127.0.0.1.
    pub fn listen(mut self, addr: impl Into<String>) -> Self {
        self.listen = addr.into();
        self
    }

    /// Sets the address on which the parent answers HTTP: `/metrics` with the sum over all workers, `/health`, and `/` with
    /// the state of each worker. Default: none.
    ///
    /// Workers that have ended stay in the sums, so counters never go back. Everybody who reaches the port reads it, so
    /// choose a port of loopback or of a network of operators. After `USR2` the new program has the port. Of listeners that
    /// systemd passes, the second one is taken for it. See [`rpc_prefork::Prefork::status`].
    pub fn status(mut self, addr: impl Into<String>) -> Self {
        self.status = Some(addr.into());
        self
    }

    /// Sets the options of the supervisor: number of workers, heartbeats, limits of age and memory, control socket …
    ///
    /// [`grace`](field@Options::grace) and [`quick_grace`](field@Options::quick_grace) have no effect here: they follow from
    /// [`farewell`](Self::farewell) and [`Limits::drain_timeout`].
    ///
    /// With a [`heartbeat_timeout`](field@Options::heartbeat_timeout), each worker sends heartbeats from its runtime. A
    /// handler that computes without an `await` for longer than the timeout counts as hung: its worker is killed, and the
    /// other calls of that worker are lost too. Choose a multiple of the longest computation.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Replaces a worker that has taken this many calls, or up to a tenth fewer by chance. Workers are replaced one at a
    /// time, each after its successor is registered. Default: none.
    pub fn max_calls(mut self, calls: u64) -> Self {
        self.plan.max_calls = Some(calls);
        self
    }

    /// Sets the registry in which to register the workers: `host:port,…/chroot`. Default: none, no worker is registered.
    pub fn zookeeper(mut self, servers: impl Into<String>) -> Self {
        self.plan.zookeeper = Some(servers.into());
        self
    }

    /// Configures all connections to the registry: those of the workers, and the one that removes the entries of a worker that
    /// died. For a registry that asks who its clients are, by TLS or a login. The function is called in each worker, and in a
    /// process of its own after a death; servers and timeouts are those that are set here. Default: no settings.
    ///
    /// ```no_run
    /// use rpc_server::{Context, Prefork, PreforkError, Service, Status};
    ///
    /// fn main() -> Result<(), PreforkError> {
    ///     let echo = |text: String, _: Context| async move { Ok::<_, Status>(text) };
    ///     Prefork::new(move |_slot| Service::builder("echo").method("echo", echo).build())
    ///         .zookeeper("zk1:2181,zk2:2181")
    ///         .registry(|registry| registry.sasl("echo", "secret"))
    ///         .run()
    /// }
    /// ```
    pub fn registry(mut self, configure: impl Fn(registry::Builder) -> registry::Builder + 'static) -> Self {
        self.plan.registry = Access(Some(Rc::new(configure)));
        self
    }

    /// Sets the name under which to serve and to register; of several services, that of the first one. Default: its own.
    pub fn service_name(mut self, name: impl Into<String>) -> Self {
        self.plan.service_name = Some(name.into());
        self
    }

    /// Sets the host that clients connect to, for the shared port and the workers' own. Default: the address of the listener.
    pub fn advertise(mut self, host: impl Into<String>) -> Self {
        self.plan.host = Some(host.into());
        self
    }

    /// Lets each worker listen on a port of its own besides, which the system chooses, and announces it in the field
    /// [`DIRECT_FIELD`](crate::DIRECT_FIELD) of the worker's entry. Clients of the registry then connect to exactly the workers
    /// that they want; where they cannot reach these ports, they take the shared one. Default: true; choose false where only
    /// the shared port is open. Without a registry there are no such ports.
    pub fn direct_ports(mut self, direct: bool) -> Self {
        self.plan.direct_ports = direct;
        self
    }

    /// Sets the time for which the registry keeps the entry of a silent worker. Default: 10 s.
    pub fn session_timeout(mut self, timeout: Duration) -> Self {
        self.plan.session_timeout = timeout;
        self
    }

    /// Sets the time in which a worker must have reached the registry, and again the time to be registered, at the first
    /// start and in a rolling restart. A worker that takes longer exits and is retried. If none has ever served, the
    /// service ends with an error that tells the reason. Default: 10 s.
    ///
    /// A worker that replaces a dead one does not depend on the registry: after 200 ms without it the worker serves
    /// unregistered, and registers as soon as the registry is back.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.plan.connect_timeout = timeout;
        self
    }

    /// Sets the longest time that a stopping worker goes on serving after it has left the registry. It waits until its
    /// clients have noticed and closed their connections. Default: 250 ms.
    pub fn farewell(mut self, bound: Duration) -> Self {
        self.plan.farewell = bound;
        self
    }

    /// Sets the limits of each worker.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.plan.limits = limits;
        self
    }

    /// Speaks TLS in each worker, which follows changed files by itself. Default: as the worker's server does.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: crate::Tls) -> Self {
        self.plan.tls = Some(tls);
        self
    }

    /// Sets a hook that runs in the parent once all workers serve and are registered. It must not start a thread.
    pub fn on_ready(mut self, hook: impl FnOnce(SocketAddr) + 'static) -> Self {
        self.on_ready = Some(Box::new(hook));
        self
    }

    /// Sets a hook that runs on each `USR1`, in the parent and then in every worker, for example to reopen a log. It must
    /// not start a thread. In a worker it runs within the runtime, between the steps of calls.
    pub fn on_usr1(mut self, hook: impl Fn() + 'static) -> Self {
        self.on_usr1 = Some(Rc::new(hook));
        self
    }

    /// Serves until a signal asks it to stop, and returns when every worker has exited.
    ///
    /// # Errors
    /// - [`PreforkError::Registry`]: the string of [`zookeeper`](Self::zookeeper) names no registry.
    /// - [`PreforkError::Advertise`]: the listener has no address for clients.
    /// - [`PreforkError::Listener`]: the listener cannot be used.
    /// - [`PreforkError::Supervisor`]: the port is taken, this process has threads, or no worker ever becomes ready, for
    ///   example because the registry cannot be reached.
    pub fn run(self) -> Result<(), PreforkError> {
        let Self { mut server, listen, status, mut options, mut plan, on_ready, on_usr1 } = self;
        // Checked here, because the error would be the same in every worker.
        plan.zookeeper.as_deref().map(registry::Registry::check_servers).transpose()?;
        let mut passed = rpc_prefork::passed_by_systemd()?.into_iter();
        let listener = passed.next().map_or_else(|| rpc_prefork::bind(listen), Ok)?;
        let status =
            status.map(|addr| passed.next().map_or_else(|| rpc_prefork::bind(addr), Ok)).transpose()?;
        let addr = listener.local_addr()?;
        if plan.zookeeper.is_some() {
            let host = advertised(plan.host.as_deref(), addr);
            plan.host = Some(host.map_err(|unspecified| PreforkError::Advertise(unspecified.0))?);
        }
        plan.heartbeat = options.heartbeat_timeout.map(|timeout| timeout / 4);
        options.grace = plan.grace();
        options.quick_grace = QUICK_DRAIN + GOODBYE + Duration::from_secs(1);
        let mut prefork = rpc_prefork::Prefork::new(options).hand_over(listener.try_clone()?);
        if let Some(status) = status {
            prefork = prefork.hand_over(status.try_clone()?).status(status);
        }
        if let Some(hook) = on_ready {
            prefork = prefork.on_ready(move || hook(addr));
        }
        if let Some(hook) = on_usr1.clone() {
            prefork = prefork.on_usr1(move || hook());
        }
        if let Some(servers) = plan.zookeeper.clone() {
            let access = plan.registry.clone();
            prefork = prefork.on_unclean_death(move |dead| worker::close_session_of(dead, &access, &servers));
        }
        let mut listener = Some(listener);
        // Owns the listener, which the parent closes when it begins to stop.
        Ok(prefork.run(move |worker| {
            // Takes the child's copy; that of the parent stays for the next fork.
            let Some(listener) = listener.take() else { return 1 };
            let setup = WorkerSetup { plan: &plan, listener, addr, on_usr1: on_usr1.as_deref() };
            worker::run(&worker, setup, || server(worker.slot()).into())
        })?)
    }
}

impl<F> std::fmt::Debug for Prefork<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prefork")
            .field("listen", &self.listen)
            .field("options", &self.options)
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}
