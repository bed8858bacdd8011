//! The server: accepts connections, and drains.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use std::{io, mem, process};

use common::TokioClock;
use common::log::quietly;
use nix::libc::{EMFILE, ENFILE};
use nix::sys::resource::{Resource, getrlimit};
use rpc_metrics::ServerMetrics;
use rpc_wire::{HealthStatus, MetadataRef};
#[cfg(feature = "tls")]
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::acceptor::{Accept, Acceptors};
use crate::announce::announcer::clients_gone;
use crate::announce::{Announcement, advertised};
use crate::clock;
use crate::connection_task::{Accepted, ConnectionTask};
use crate::health::Health;
use crate::limits::Limits;
use crate::listener::{AcceptOn, Listener};
use crate::log::{PeerLines, say_ended, say_refused};
use crate::memory::{MemoryConnector, MemoryListener, in_memory};
use crate::open_connections::OpenConnections;
use crate::peers::Peers;
#[cfg(feature = "tls")]
use crate::peers::Seat;
use crate::reflect;
use crate::retirement::Retirement;
use crate::scope::ParentHook;
use crate::service::{Service, tabulate};
#[cfg(feature = "tls")]
use crate::session::End;
use crate::session::SessionConfig;
use crate::shared::Shared;
use crate::status::{Status, StatusPort};
#[cfg(feature = "tls")]
use crate::tls::{Handshakes, Tls, shake_hands};

/// Pause after a failure of `accept` that concerns the whole process.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Host of a server without a socket, for clients.
const MEMORY_HOST: &str = "in-memory";

/// Serves one or more [services](Service) on a listener.
///
/// ```
/// use rpc_server::{Context, Server, Service, Status};
/// use tokio::net::TcpListener;
/// use tokio::sync::oneshot;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let echo = |text: String, _: Context| async move { Ok::<_, Status>(text) };
/// let service = Service::builder("echo").method("echo", echo).build();
///
/// let (stop, stopped) = oneshot::channel::<()>();
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let server = tokio::spawn(Server::new(service).serve(listener, async { drop(stopped.await) }));
///
/// drop(stop);
/// assert_eq!(server.await??.cut, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "call serve"]
pub struct Server {
    services: Vec<Service>,
    health: Health,
    is_reflecting: bool,
    instance: String,
    limits: Limits,
    shared_listener: bool,
    own_listeners: Vec<TcpListener>,
    announcement: Option<Announcement>,
    expose_internal_errors: bool,
    retirement: Option<Arc<Retirement>>,
    open: watch::Sender<usize>,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
    metrics: Arc<ServerMetrics>,
    status: Option<TcpListener>,
    parent_hook: Option<ParentHook>,
}

/// Result of a drain.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Drained {
    /// Number of connections that were cut because their calls did not end within [`Limits::drain_timeout`].
    pub cut: usize,
}

impl Server {
    /// Creates a server with default limits and the identity of this process.
    pub fn new(service: Service) -> Self {
        let server = Self {
            services: Vec::new(),
            health: Health::new(),
            is_reflecting: true,
            instance: process_identity(),
            limits: Limits::default(),
            shared_listener: false,
            own_listeners: Vec::new(),
            announcement: None,
            expose_internal_errors: false,
            retirement: None,
            open: watch::Sender::new(0),
            #[cfg(feature = "tls")]
            tls: None,
            metrics: Arc::default(),
            status: None,
            parent_hook: None,
        };
        server.add_service(service)
    }

    /// Adds a service, or replaces the one of that name.
    ///
    /// A client asks for one of them in its hello and calls its methods by their names, those of the others by
    /// `service/method`. A client that names no service calls all methods in this way.
    pub fn add_service(mut self, service: Service) -> Self {
        self.health.set(service.name(), HealthStatus::Serving);
        self.services.retain(|other| other.name() != service.name());
        self.services.push(service);
        self
    }

    /// Returns the health that clients ask for by `rpc.health/check`, to be set.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Answers questions for names and types of the services and their methods, by `rpc.reflect/list` and
    /// `rpc.reflect/describe`. Default: true.
    pub fn reflection(mut self, reflects: bool) -> Self {
        self.is_reflecting = reflects;
        self
    }

    /// Sends callers the reasons of internal errors, too, which otherwise go to the log alone; see [`Error`](crate::Error).
    /// For development, and for callers who may know what the server knows. Default: false.
    pub fn expose_internal_errors(mut self, expose: bool) -> Self {
        self.expose_internal_errors = expose;
        self
    }

    /// Sets the limits.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the identity for clients, at most 255 bytes. Default: process id and start time, which differ between all
    /// processes on one port.
    pub fn instance(mut self, instance: impl Into<String>) -> Self {
        self.instance = instance.into();
        self
    }

    /// Shares the listener with other processes: those without connections accept first, which costs a client up to 2 ms
    /// once. Default: false.
    pub fn shared_listener(mut self, shared: bool) -> Self {
        self.shared_listener = shared;
        self
    }

    /// Speaks TLS on each connection; clients without it are refused. Default: no TLS.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Serves a further listener, too, which no other process shares.
    pub fn also_listen(mut self, listener: TcpListener) -> Self {
        self.own_listeners.push(listener);
        self
    }

    /// Announces the server in a registry while it serves, with its [identity](Self::instance): clients find it there, by the
    /// name of each of its services.
    ///
    /// - It serves at once, and is announced as soon as the registry is there and lets it.
    /// - While the registry is away it goes on serving. After an expired session it is announced again.
    /// - At `shutdown` it first leaves the registry and goes on serving until its clients have heard of that, at most for
    ///   [`Announcement::farewell`]; then it drains. If the registry does not answer, this takes up to 2 s longer.
    ///
    /// ```
    /// use registry::Registry;
    /// use rpc_client::Client;
    /// use rpc_server::{Context, Server, Service, Status};
    /// use tokio::net::TcpListener;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let registry = Registry::embedded().await?; // a zk-mini in this process
    /// let echo = |text: String, _: Context| async move { Ok::<_, Status>(text) };
    /// let server = Server::new(Service::builder("echo").method("echo", echo).build()).announce(&registry);
    /// tokio::spawn(server.serve(TcpListener::bind("127.0.0.1:0").await?, std::future::pending()));
    ///
    /// let client = Client::builder(registry, "echo").connect().await?;
    /// let echoed: String = client.call("echo", "hello").await?;
    /// assert_eq!(echoed, "hello");
    /// # Ok(())
    /// # }
    /// ```
    pub fn announce(mut self, announcement: impl Into<Announcement>) -> Self {
        self.announcement = Some(announcement.into());
        self
    }

    /// Sets the quota of calls, and its signal.
    pub(crate) fn retirement(mut self, retirement: Option<Arc<Retirement>>) -> Self {
        self.retirement = retirement;
        self
    }

    /// Returns the identity for clients.
    pub fn identity(&self) -> &str {
        &self.instance
    }

    /// Returns the number of open connections, now and later.
    pub fn open_connections(&self) -> OpenConnections {
        OpenConnections::new(self.open.subscribe())
    }

    /// Answers HTTP on this listener while the server serves and drains.
    ///
    /// | path | answer |
    /// | --- | --- |
    /// | `/metrics` | the [metrics](Self::metrics), for Prometheus |
    /// | `/health` | 200 while the server takes calls, 503 while it drains |
    /// | `/` | JSON about the server: service, identity, versions, methods with their calls and latencies, limits |
    ///
    /// Everybody who reaches the port reads it, so bind it to loopback or to a network of operators. It serves up to 16
    /// clients at a time, each for 5 s at most.
    ///
    /// ```
    /// # use rpc_server::{Server, Service};
    /// # use tokio::net::TcpListener;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let service = Service::builder("echo").build();
    /// let status = TcpListener::bind("127.0.0.1:0").await?; // in production a fixed port, such as 9090
    /// let server = Server::new(service).status(status);
    /// # server.serve(TcpListener::bind("127.0.0.1:0").await?, async {}).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn status(mut self, listener: TcpListener) -> Self {
        self.status = Some(listener);
        self
    }

    /// Sets a hook that gives the span of each call its parent, by the `traceparent` and `tracestate` in the metadata of its
    /// caller. The hook runs only if a subscriber of `tracing` wants the span.
    ///
    /// The span `rpc.server`, of the level DEBUG and the target `rpc_server`, is around all that the handler does. Its fields
    /// are those of OpenTelemetry's conventions for RPC. The example `opentelemetry` has the hook for tracing-opentelemetry.
    ///
    /// Without a hook the trace context still passes through: calls that the handler makes by `rpc-client` carry it on as it
    /// came.
    ///
    /// ```
    /// # use rpc_server::{Server, Service};
    /// # let service = Service::builder("echo").build();
    /// let server = Server::new(service).span_parent(|span, metadata| {
    ///     let parent = metadata.get("traceparent"); // for tracing-opentelemetry: span.set_parent(…)
    ///     span.in_scope(|| tracing::debug!(parent, "a call came"));
    /// });
    /// ```
    pub fn span_parent(
        mut self,
        hook: impl Fn(&tracing::Span, MetadataRef<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.parent_hook = Some(ParentHook(Box::new(hook)));
        self
    }

    /// Returns the counts, latencies and calls in flight of this server, now and later.
    ///
    /// ```
    /// # use rpc_server::{Context, Server, Service, Status};
    /// # use tokio::net::TcpListener;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let echo = |text: String, _: Context| async move { Ok::<_, Status>(text) };
    /// let server = Server::new(Service::builder("echo").method("echo", echo).build());
    /// let metrics = server.metrics();
    /// let serving = server.serve(TcpListener::bind("127.0.0.1:0").await?, async { /* a signal */ });
    /// # serving.await?;
    /// // Later, or in another task:
    /// let snapshot = metrics.snapshot();
    /// let latencies = snapshot.distribution("rpc_server_call_duration_seconds", &[("method", "echo")]);
    /// println!("{} calls, p99 {:?}", latencies.count(), latencies.percentile(99.0));
    /// println!("{}", snapshot.to_text());
    /// # Ok(())
    /// # }
    /// ```
    pub fn metrics(&self) -> Arc<ServerMetrics> {
        Arc::clone(&self.metrics)
    }

    /// Serves until `shutdown` completes. Then it drains: closes the listener, tells clients to leave, gives running calls
    /// [`Limits::drain_timeout`] to finish, and returns.
    ///
    /// Dropping the future ends all connections and calls at once.
    ///
    /// # Errors
    /// The runtime cannot wait for a listener; or the server is to be [announced](Self::announce), and its listener has no
    /// address that clients could be told.
    pub async fn serve(
        mut self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<Drained> {
        let announcement = match self.announcement.take() {
            Some(announcement) => {
                let addr = listener.local_addr()?;
                let host = advertised(announcement.host.as_deref(), addr)
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
                Some((announcement, host, addr.port()))
            }
            None => None,
        };
        let acceptor = Acceptors::new(listener, mem::take(&mut self.own_listeners))?;
        Ok(self.serve_announced(acceptor, announcement, shutdown).await)
    }

    /// Serves connections without sockets, as [`serve`](Self::serve) does; see [`in_memory`](crate::in_memory). It is
    /// [announced](Self::announce) at `in-memory:1`, unless the announcement names another address.
    pub async fn serve_in_memory(
        mut self,
        listener: MemoryListener,
        shutdown: impl Future<Output = ()>,
    ) -> Drained {
        let announcement = self.announcement.take().map(|announcement| (announcement, MEMORY_HOST.into(), 1));
        self.serve_announced(listener, announcement, shutdown).await
    }

    /// Serves, and is announced meanwhile if that is wanted.
    async fn serve_announced<A: Accept>(
        self,
        acceptor: A,
        announcement: Option<(Announcement, String, u16)>,
        shutdown: impl Future<Output = ()>,
    ) -> Drained {
        let Some((announcement, host, port)) = announcement else {
            return self.serve_accepted(acceptor, shutdown).await;
        };
        let services = self.service_names();
        let farewell = announcement.farewell;
        let announcer = announcement.into_announcer(services, &self.instance, host, port);
        let open = self.open_connections();
        let leave = async {
            announcer.keep(announcer.announce_at_last(), shutdown).await;
            clients_gone(open, farewell).await;
        };
        self.serve_accepted(acceptor, leave).await
    }

    /// Starts to serve without a socket, in a task of this runtime, and returns the connector that a client takes. The server
    /// drains when the last clone of the connector is dropped.
    ///
    /// A whole service is tested like this:
    ///
    /// ```
    /// use rpc_client::Client;
    /// use rpc_server::{Context, Server, Service, Status};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rpc_client::Error> {
    /// let length = |text: String, _: Context| async move { Ok::<_, Status>(text.len()) };
    /// let server = Server::new(Service::builder("text").method("length", length).build()).in_memory();
    /// let client = Client::in_memory("text", move || server.connect()).connect().await?;
    ///
    /// assert_eq!(client.call::<_, usize>("length", "hello").await?, 5);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn in_memory(self) -> MemoryConnector {
        let (mut connector, listener) = in_memory();
        let gone = connector.keep_alive();
        tokio::spawn(self.serve_in_memory(listener, async { drop(gone.await) }));
        connector
    }

    /// Serves connections of another transport, as [`serve`](Self::serve) does; for example those of a simulated network.
    pub async fn serve_on(self, listener: impl Listener, shutdown: impl Future<Output = ()>) -> Drained {
        self.serve_accepted(AcceptOn(listener), shutdown).await
    }

    /// Returns the names of the services, without the library's own.
    pub(crate) fn service_names(&self) -> Vec<String> {
        self.services.iter().map(|service| service.name().to_owned()).collect()
    }

    /// Serves the first service under another name.
    pub(crate) fn rename_first(mut self, name: &str) -> Self {
        let mut services = mem::take(&mut self.services).into_iter();
        let Some(first) = services.next() else { return self };
        self.health.rename(first.name(), name);
        self.services.push(first.with_name(name));
        services.fold(self, Self::add_service)
    }

    /// Takes the services, with the library's own.
    fn all_services(&mut self) -> Vec<Service> {
        let mut services = mem::take(&mut self.services);
        services.push(self.health.service());
        if self.is_reflecting {
            services.push(reflect::service(&services));
        }
        services
    }

    async fn serve_accepted<A: Accept>(
        mut self,
        mut acceptor: A,
        shutdown: impl Future<Output = ()>,
    ) -> Drained {
        #[cfg(feature = "tls")]
        let handshakes = self.tls.take().map(|tls| Arc::new(Handshakes::new(tls)));
        let (methods, handlers) = tabulate(self.all_services());
        let Self {
            health,
            instance,
            limits,
            shared_listener,
            expose_internal_errors,
            retirement,
            open,
            metrics,
            status,
            parent_hook,
            ..
        } = self;
        let clock = TokioClock::start();
        let peers = Arc::new(Peers::new(&limits, descriptors()));
        let lines = Arc::new(PeerLines::new(clock));
        let quota = retirement.as_ref().map(|retirement| Arc::clone(&retirement.quota));
        metrics.set_methods(methods.names());
        let session = Arc::new(SessionConfig { instance, limits, methods, quota, metrics });
        let turns = Arc::new(Semaphore::new(turns()));
        let shared =
            Shared { session, handlers, expose_internal_errors, retirement, parent_hook, turns, clock };
        let shared = Arc::new(shared);
        let face = Arc::new(Status::new(Arc::clone(&shared)));
        let _status_port = status.map(|listener| StatusPort::open(listener, Arc::clone(&face)));
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        loop {
            open.send_replace(connections.len());
            let reluctant = shared_listener && !connections.is_empty();
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(_) = connections.join_next() => {}
                accepted = acceptor.accept(reluctant) => match accepted {
                    Ok((stream, peer)) => match peers.seat(peer.ip(), clock.now()) {
                        Ok(seat) => {
                            let (shared, lines) = (Arc::clone(&shared), Arc::clone(&lines));
                            let client = Accepted { peer, identity: None, at: clock::now() };
                            #[cfg(feature = "tls")]
                            if let Some(handshakes) = handshakes.clone() {
                                let serving = serve_in_tls(handshakes, shared, seat, stream, client);
                                connections.spawn(async move { say_ended(serving.await, peer, &lines) });
                                continue;
                            }
                            let mut connection = ConnectionTask::new(shared, seat, stream, client);
                            // The connection is lent to `run`: a future holds what it passes by value twice.
                            connections.spawn(async move { say_ended(connection.run().await, peer, &lines) });
                        }
                        Err(full) => {
                            shared.session.metrics.turned_away.increment();
                            A::refuse(stream, &full.to_string());
                            say_refused(peer, &full.to_string(), &lines);
                        }
                    },
                    Err(error) if is_out_of_descriptors(&error) && !peers.make_room(clock.now()) => {
                        let why = "no descriptors left on this server";
                        match acceptor.turn_away(why) {
                            Some(peer) => {
                                shared.session.metrics.turned_away.increment();
                                say_refused(peer, why, &lines);
                            }
                            None => pause_after(&error, &lines).await,
                        }
                    }
                    Err(error) => pause_after(&error, &lines).await,
                },
            }
        }
        drop(acceptor);
        health.drain().await;
        face.drain();
        peers.drain();
        let all = async { while connections.join_next().await.is_some() {} };
        if timeout(shared.session.limits.drain_timeout, all).await.is_err() {
            let connections = connections.len();
            quietly(|| tracing::warn!(connections, "calls did not end in time and were cut"));
        }
        lines.finish();
        Drained { cut: connections.len() }
    }
}

impl From<Service> for Server {
    fn from(service: Service) -> Self {
        Self::new(service)
    }
}

/// Serves a connection after its handshake.
#[cfg(feature = "tls")]
async fn serve_in_tls<S: AsyncRead + AsyncWrite + Unpin>(
    handshakes: Arc<Handshakes>,
    shared: Arc<Shared>,
    seat: Seat,
    stream: S,
    client: Accepted,
) -> End {
    let until = client.at.checked_add(shared.session.limits.hello_timeout);
    let (stream, identity) = match shake_hands(&handshakes, stream, client.peer, &seat, until).await {
        Ok(shaken) => shaken,
        Err(end) => return end,
    };
    drop(handshakes);
    let client = Accepted { identity: identity.map(Box::new), ..client };
    let mut connection = ConnectionTask::new(shared, seat, stream, client);
    connection.run().await
}

/// Pauses after a failure of `accept`, unless it concerns one connection only.
async fn pause_after(error: &io::Error, lines: &PeerLines) {
    if error.kind() != io::ErrorKind::ConnectionAborted {
        lines.say(None, || tracing::warn!(%error, "cannot accept connections; trying again"));
        sleep(ACCEPT_PAUSE).await;
    }
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(EMFILE | ENFILE))
}

/// Returns the number of connections that may run long calls at the same time: one per single-threaded runtime, so that
/// all connections read between two turns. With several threads the others read meanwhile, and a handler may release its
/// thread by `block_in_place`.
fn turns() -> usize {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::CurrentThread => 1,
        _ => Semaphore::MAX_PERMITS,
    }
}

/// Returns the number of descriptors that this process may have.
fn descriptors() -> usize {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// Returns process id and start time.
pub(crate) fn process_identity() -> String {
    format!("{}-{:x}", process::id(), clock::since_epoch().as_micros())
}
