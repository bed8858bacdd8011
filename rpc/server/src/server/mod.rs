//! The server: what it serves, and how it is set up.

mod accept;
#[cfg(feature = "tower")]
mod layer;
mod serve;

use std::sync::Arc;
use std::{mem, process};

#[cfg(feature = "tls")]
use common::tls::ServerTls;
use rpc_metrics::ServerMetrics;
use rpc_wire::{HealthStatus, MetadataRef};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::announce::Announcement;
use crate::clock;
use crate::health::Health;
#[cfg(feature = "tower")]
use crate::layer::ServerLayers;
use crate::limits::Limits;
use crate::names::{self, NameError};
use crate::open_connections::OpenConnections;
use crate::reflect;
use crate::retirement::Retirement;
use crate::scope::ParentHook;
use crate::service::Service;

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
    #[cfg(feature = "tower")]
    layers: ServerLayers,
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
    tls: Option<ServerTls>,
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
            #[cfg(feature = "tower")]
            layers: ServerLayers::default(),
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
    pub fn tls(mut self, tls: ServerTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Serves a further listener, too, which no other process shares; it speaks TLS if the server does.
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
    /// | `/health` | 200 while the server as a whole is [healthy](Self::health), 503 otherwise, and while it drains |
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

    /// Returns the names of the services, without the library's own.
    pub(crate) fn service_names(&self) -> Vec<String> {
        self.services.iter().map(|service| service.name().to_owned()).collect()
    }

    /// Returns the reason for which a service cannot be served under its name, or a method cannot be called.
    pub(crate) fn check_names(&self) -> Result<(), NameError> {
        self.services.iter().try_for_each(|service| names::check(service.name(), service.method_names()))
    }

    /// Serves the first service under another name, under which its health goes on. The name may not be another service's.
    pub(crate) fn rename_first(mut self, name: &str) -> Result<Self, NameError> {
        if self.services.iter().skip(1).any(|other| other.name() == name) {
            return Err(NameError::Taken(name.to_owned()));
        }
        if !self.services.is_empty() {
            let first = self.services.remove(0);
            self.health.rename(first.name(), name);
            self.services.insert(0, first.with_name(name));
        }
        Ok(self)
    }

    /// Takes the services with the layers around them, and the library's own.
    fn all_services(&mut self) -> Vec<Service> {
        let mut services = mem::take(&mut self.services);
        #[cfg(feature = "tower")]
        {
            services = mem::take(&mut self.layers).put_around(services);
        }
        services.push(self.health.service());
        if self.is_reflecting {
            services.push(reflect::service(&services));
        }
        services
    }
}

impl From<Service> for Server {
    fn from(service: Service) -> Self {
        Self::new(service)
    }
}

/// Returns process id and start time.
pub(crate) fn process_identity() -> String {
    format!("{}-{:x}", process::id(), clock::since_epoch().as_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> Server {
        let named = |name: &str| Service::builder(name).build();
        Server::new(named("shop")).add_service(named("stock"))
    }

    #[test]
    fn a_renamed_service_takes_its_health_along_and_leaves_that_of_the_others() {
        let server = server();
        let health = server.health();
        health.set("stock", HealthStatus::NotServing);
        let server = server.rename_first("market").unwrap();
        assert_eq!(server.service_names(), ["market", "stock"]);
        assert_eq!(health.status("market"), HealthStatus::Serving);
        assert_eq!(health.status("stock"), HealthStatus::NotServing);
        // Who sets it may not know the other name.
        health.set("shop", HealthStatus::NotServing);
        assert_eq!(server.health().status("market"), HealthStatus::NotServing);
        assert_eq!(health.status("shop"), HealthStatus::NotServing);
    }

    #[test]
    fn a_service_gets_no_name_that_another_one_has() {
        assert_eq!(server().rename_first("stock").unwrap_err(), NameError::Taken("stock".into()));
        assert_eq!(server().rename_first("shop").unwrap().service_names(), ["shop", "stock"]);
    }
}
