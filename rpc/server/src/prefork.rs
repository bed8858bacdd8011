//! A service of several processes: one listener, N workers, each announced in the registry.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use rpc_prefork::Options;

use crate::worker::{self, Plan, Site};
use crate::{Limits, Service};

/// A service served by several worker processes on one address.
///
/// The parent binds the listener, forks the workers and supervises them; it runs no thread and no runtime, so
/// call [`Prefork::run`] from a plain `main`. Each worker builds its own single-threaded runtime, announces
/// itself in the registry, and is replaced at once when it dies; what a dead worker had announced is taken back on its
/// behalf. Once some worker has served, the service goes on until it is told to stop, whatever happens to the registry.
///
/// | signal to the parent | what happens |
/// | --- | --- |
/// | `TERM` | graceful: workers leave the registry, finish what runs, and end |
/// | `INT`, `QUIT` | quick: as `TERM`, but calls that still run after a second are cut |
/// | `HUP` | replaces all workers, one by one: each serves until its successor serves and is announced |
/// | `TTIN`, `TTOU` | one worker more or less |
/// | `USR1` | runs the hook of [`Prefork::on_usr1`], in the parent and in every worker |
/// | `USR2` | starts the program anew; when its workers serve and are announced, leaves the listener to it; their number stays as changed by `TTIN` and `TTOU` |
///
/// Started by systemd, or by `USR2`, it takes the listener that was passed to it, if there is one, and with
/// `Type=notify` says how it is; the crate `rpc-prefork` has the details.
///
/// ```no_run
/// use rpc_server::{Context, Prefork, PreforkError, Service, Status};
/// use std::io::{Write, stdout};
///
/// fn main() -> Result<(), PreforkError> {
///     let echo = |text: String, _: Context| async move { Ok::<_, Status>(text) };
///     Prefork::new(move |_slot| Service::builder("echo").method("echo", echo).build())
///         .listen("127.0.0.1:0")
///         .workers(4)
///         .zookeeper("127.0.0.1:2181")
///         .on_ready(|addr| {
///             let _ = writeln!(stdout(), "ready {addr}"); // `println!` would panic when nobody reads
///         })
///         .run()
/// }
/// ```
#[must_use = "call run"]
pub struct Prefork<F> {
    service: F,
    listen: String,
    options: Options,
    plan: Plan,
    on_ready: Option<Box<dyn FnOnce(SocketAddr)>>,
    on_usr1: Option<Rc<dyn Fn()>>,
}

/// Why a preforked service could not start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PreforkError {
    /// The supervisor's error.
    #[error(transparent)]
    Supervisor(#[from] rpc_prefork::Error),
    /// The listener cannot be used.
    #[error("cannot use the listener: {0}")]
    Listener(#[from] std::io::Error),
    /// The string that names the registry's servers cannot be read.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// There is nothing to tell clients.
    #[error("{0} stands for every address of this host; name the one for clients with `advertise`")]
    Advertise(SocketAddr),
}

impl<F: FnMut(u32) -> Service> Prefork<F> {
    /// `service` makes the service in each worker, which has the slot 0 up to one less than the number of
    /// workers; it runs in the worker's runtime.
    pub fn new(service: F) -> Self {
        let plan = Plan {
            zookeeper: None,
            service_name: None,
            host: None,
            session_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            heartbeat: None,
            max_calls: None,
            farewell: Duration::from_millis(250),
            limits: Limits::default(),
        };
        let (listen, options) = ("127.0.0.1:0".into(), Options::default());
        Self { service, listen, options, plan, on_ready: None, on_usr1: None }
    }

    /// Where to listen, unless a listener was passed by systemd or by `USR2`: that one is served then. Default: a free
    /// port of 127.0.0.1.
    pub fn listen(mut self, addr: impl Into<String>) -> Self {
        self.listen = addr.into();
        self
    }

    /// How many workers. Default: 1.
    pub fn workers(mut self, workers: u32) -> Self {
        self.options.workers = workers;
        self
    }

    /// A worker whose runtime does nothing for this long is ended and replaced: it hangs, or a handler has computed
    /// for so long without an `await`. That is the risk of this option: calls of such a handler are cut, those of its
    /// neighbours too, so choose a multiple of the longest computation. Default: none, workers are not watched.
    pub fn heartbeat_timeout(mut self, timeout: Duration) -> Self {
        self.options.heartbeat_timeout = Some(timeout);
        self.plan.heartbeat = Some(timeout / 4);
        self
    }

    /// Where to put a socket that tells `rpc_prefork::status`, and the program `prefork-status`, how the workers are.
    /// Default: none.
    pub fn control(mut self, path: impl Into<PathBuf>) -> Self {
        self.options.control = Some(path.into());
        self
    }

    /// Replaces workers that are this old, one at a time. Default: none.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.options.max_age = Some(age);
        self
    }

    /// Replaces a worker that has taken this many calls, or up to a tenth fewer by chance, one at a time and each after
    /// its successor is announced. Default: none.
    pub fn max_calls(mut self, calls: u64) -> Self {
        self.plan.max_calls = Some(calls);
        self
    }

    /// The registry to announce the workers in: `host:port,…/chroot`. Default: none, nothing is announced.
    pub fn zookeeper(mut self, servers: impl Into<String>) -> Self {
        self.plan.zookeeper = Some(servers.into());
        self
    }

    /// The name to announce and to serve under. Default: the service's own.
    pub fn service_name(mut self, name: impl Into<String>) -> Self {
        self.plan.service_name = Some(name.into());
        self
    }

    /// The host that clients are told. Default: the address of [`Prefork::listen`].
    pub fn advertise(mut self, host: impl Into<String>) -> Self {
        self.plan.host = Some(host.into());
        self
    }

    /// Replaces workers with more resident memory than this, in bytes, each after its successor is announced; for
    /// slow leaks. Default: none.
    pub fn max_memory(mut self, bytes: u64) -> Self {
        self.options.max_memory = Some(bytes);
        self
    }

    /// How long the registry keeps a worker that it does not hear from. Default: 10 s.
    pub fn session_timeout(mut self, timeout: Duration) -> Self {
        self.plan.session_timeout = timeout;
        self
    }

    /// Time in which a worker must have reached the registry, and then be announced, at the first start and in a rolling
    /// restart. Else it ends, and is tried again; when none has ever served, the service ends with an error that says
    /// why. Default: 10 s.
    ///
    /// A worker that takes the place of a dead one depends on no registry: after 200 ms without one it
    /// serves unannounced, and is announced as soon as the registry is back.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.plan.connect_timeout = timeout;
        self
    }

    /// How long running calls may take to finish when a worker is to stop; the same as in [`Limits`].
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.plan.limits.drain_timeout = timeout;
        self
    }

    /// How long a worker that is to stop goes on as if nothing were, after it has left the registry: until
    /// its clients have heard of it and closed their connections, but no longer. Default: 250 ms.
    pub fn farewell(mut self, bound: Duration) -> Self {
        self.plan.farewell = bound;
        self
    }

    /// The limits of each worker.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.plan.limits = limits;
        self
    }

    /// Called in the parent once all workers serve and are announced. It must not start a thread.
    pub fn on_ready(mut self, hook: impl FnOnce(SocketAddr) + 'static) -> Self {
        self.on_ready = Some(Box::new(hook));
        self
    }

    /// Called whenever the parent gets `USR1`, in the parent and then in every worker, for example to reopen a log.
    /// It must not start a thread, and in a worker it runs in the runtime, between the steps of calls.
    pub fn on_usr1(mut self, hook: impl Fn() + 'static) -> Self {
        self.on_usr1 = Some(Rc::new(hook));
        self
    }

    /// Serves until a signal asks to stop; returns when every worker has ended.
    ///
    /// # Errors
    /// A taken port, a process with threads, an address that clients cannot use, a string that names no registry; no
    /// worker that comes to serve, for example because the registry cannot be reached.
    pub fn run(self) -> Result<(), PreforkError> {
        let Self { mut service, listen, mut options, mut plan, on_ready, on_usr1 } = self;
        // It would be the same for every worker, however often one is started.
        plan.zookeeper.as_deref().map(registry::Registry::check_servers).transpose()?;
        let listener = listener(&listen)?;
        let addr = listener.local_addr()?;
        if plan.host.is_none() {
            if addr.ip().is_unspecified() && plan.zookeeper.is_some() {
                return Err(PreforkError::Advertise(addr));
            }
            plan.host = Some(addr.ip().to_string());
        }
        options.grace = plan.grace();
        options.quick_grace = worker::QUICK_DRAIN + worker::GOODBYE + Duration::from_secs(1);
        let mut prefork = rpc_prefork::Prefork::new(options).hand_over(listener.try_clone()?);
        if let Some(hook) = on_ready {
            prefork = prefork.on_ready(move || hook(addr));
        }
        if let Some(hook) = on_usr1.clone() {
            prefork = prefork.on_usr1(move || hook());
        }
        if let Some(servers) = plan.zookeeper.clone() {
            prefork = prefork.on_unclean_death(move |dead| worker::close_session_of(dead, &servers));
        }
        let mut listener = Some(listener);
        Ok(prefork.run(|worker| {
            // In a process of its own: the parent's is still there for the next one.
            let Some(listener) = listener.take() else { return 1 };
            let site = Site { plan: &plan, listener, addr, on_usr1: on_usr1.as_deref() };
            worker::run(&worker, site, || service(worker.slot()))
        })?)
    }
}

/// The one that was passed to this process, or one of its own.
fn listener(addr: &str) -> Result<TcpListener, rpc_prefork::Error> {
    match rpc_prefork::passed_by_systemd()?.into_iter().next() {
        Some(passed) => Ok(passed),
        None => rpc_prefork::bind(addr),
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
