//! The configuration of a client.

use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use common::{Backoff, Millis};
use registry::{Registry, Stream, SubscribeOptions, unix_ms};
use rpc_wire::{Format, Metadata};

use crate::client::{Client, Inner};
use crate::connector::{Connect, TcpConnect, connect_fn};
use crate::error::Error;
use crate::kept::Kept;
#[cfg(feature = "tower")]
use crate::layer::{Calls, Wrap};
use crate::pool::{Balancer, Input, OutlierEjection, Pool, PoolConfig};
use crate::pool_task::{Source, run_pool};
use crate::retry::Budget;
use crate::session::Config;
use crate::shared::{Settings, Shared};
use crate::span::ContextHook;
use crate::targets::{self, Aperture, Routes};
#[cfg(feature = "tls")]
use crate::tls::TlsConnect;

/// Default maximum of connections to one address of the registry.
const MAX_CONNECTIONS: usize = 16;

impl Client {
    /// Configures a client that finds the instances of `service` in the registry.
    pub fn builder(registry: Registry, service: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(service.into(), Instances::Registry(registry))
    }

    /// Configures a client of the given addresses (`host:port`), without a registry.
    pub fn direct(
        service: impl Into<String>,
        addrs: impl IntoIterator<Item = impl Into<String>>,
    ) -> ClientBuilder {
        let addrs = addrs.into_iter().map(Into::into).collect();
        ClientBuilder::new(service.into(), Instances::Fixed(addrs))
    }

    /// Configures a client of a server in this process, without sockets: `open` opens a connection. For tests of a whole
    /// service; the crate `rpc-server` has the other end, and an example.
    ///
    /// ```
    /// use rpc_client::Client;
    /// use rpc_server::{Context, Server, Service, Status};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rpc_client::Error> {
    /// let double = |n: u32, _: Context| async move { Ok::<_, Status>(2 * n) };
    /// let server = Server::new(Service::builder("math").method("double", double).build()).in_memory();
    ///
    /// let client = Client::in_memory("math", move || server.connect()).connect().await?;
    /// assert_eq!(client.call::<_, u32>("double", &21).await?, 42);
    /// # Ok(())
    /// # }
    /// ```
    pub fn in_memory<S: Stream + 'static>(
        service: impl Into<String>,
        open: impl Fn() -> io::Result<S> + Send + Sync + 'static,
    ) -> ClientBuilder {
        Self::direct(service, ["in-memory"]).via(connect_fn(move |_| std::future::ready(open())))
    }
}

#[derive(Debug)]
enum Instances {
    Registry(Registry),
    Fixed(Vec<String>),
}

/// Configures a [`Client`]; finish with [`connect`](Self::connect).
#[must_use = "call connect"]
pub struct ClientBuilder {
    instances: Instances,
    session: Config,
    deadline: Duration,
    patience: Duration,
    hold: Duration,
    connect_timeout: Duration,
    connections: Option<usize>,
    aperture: Option<usize>,
    number: Option<u32>,
    max_retries: u32,
    retry_burst: u32,
    retry_percent: u32,
    hedge_percentile: Option<u32>,
    pool: PoolConfig,
    connector: Arc<dyn Connect>,
    #[cfg(feature = "tls")]
    tls: Option<common::tls::ClientTls>,
    /// From the inside out.
    #[cfg(feature = "tower")]
    layers: Vec<Wrap>,
    context_hook: Option<ContextHook>,
}

impl ClientBuilder {
    fn new(service: String, instances: Instances) -> Self {
        Self {
            instances,
            session: Config {
                service,
                format: Format::JSON,
                max_frame: rpc_wire::DEFAULT_MAX_FRAME,
                keepalive: Millis(3_000),
                max_queued: 16 << 20,
                budget: rpc_wire::Budget::default(),
            },
            deadline: Duration::from_secs(10),
            patience: Duration::from_secs(3),
            hold: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(2),
            connections: None,
            aperture: None,
            number: None,
            max_retries: 2,
            retry_burst: 1_000,
            retry_percent: 20,
            hedge_percentile: None,
            pool: PoolConfig {
                max_in_flight: 1024,
                backoff: Backoff::new(Millis(50), Millis(5_000)),
                seed: fastrand::u64(..),
                balancer: Balancer::default(),
                outliers: OutlierEjection::default(),
                zone: None,
                warm_up: Millis(0),
            },
            connector: Arc::new(TcpConnect),
            #[cfg(feature = "tls")]
            tls: None,
            #[cfg(feature = "tower")]
            layers: Vec::new(),
            context_hook: None,
        }
    }

    /// Opens connections in another way than over TCP; [`connect_fn`](crate::connect_fn) makes one of a closure.
    pub fn via(mut self, connector: impl Connect) -> Self {
        self.connector = Arc::new(connector);
        self
    }

    /// Adds a layer around those that there are.
    #[cfg(feature = "tower")]
    pub(crate) fn wrap(mut self, layer: Wrap) -> Self {
        self.layers.push(layer);
        self
    }

    /// Speaks TLS over each connection. Default: no TLS.
    ///
    /// ```no_run
    /// use rpc_client::{Client, Pem, TlsConfig};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let tls = TlsConfig::new(Pem::file("ca.pem"))
    ///     .certificate(Pem::file("client.pem"), Pem::file("client.key")) // mutual TLS
    ///     .load()?;
    /// let client = Client::direct("shop", ["shop.example.org:7000"]).tls(tls).connect().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: common::tls::ClientTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Sets the payload format. Default: JSON.
    pub fn format(mut self, format: Format) -> Self {
        self.session.format = format;
        self
    }

    /// Sets the deadline of calls that do not [name their own](crate::Call::deadline). Default: 10 s.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sets the time that a call waits while no instance is known or reachable. Default: 3 s; never longer than the
    /// call's deadline.
    pub fn wait_for_instance(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sets the time for which the instances stay in use after all of them went from the registry at once. Default: 30 s; with
    /// zero they go at once.
    ///
    /// So a registry that has lost its data, or the sessions of all instances, costs no call. If the instances have left in
    /// truth, calls end with [`Error::Unreachable`] meanwhile; a process of another service at one of the addresses gets none.
    pub fn hold_lost_instances(mut self, time: Duration) -> Self {
        self.hold = time;
        self
    }

    /// Sets the time in which a connection must be made, hello included. Default: 2 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets the time of silence after which a server is asked whether it is alive. After the same time again its
    /// connection is given up (each up to a quarter later). Default: 3 s; at least 4 ms.
    ///
    /// The question goes behind the bytes that are on their way. As long as the operating system takes those, the second time does
    /// not begin: a long argument over a slow network is no silence. What it has taken, up to some megabytes, is not seen: over a
    /// network that needs longer for them choose a longer time. A server that takes nothing for twice this time is given up, too.
    ///
    /// An idempotent call to a server that hangs is then tried elsewhere, if its deadline leaves time for that: choose
    /// less than half of the deadline. A handler that blocks its thread for twice this time looks like a server that
    /// hangs.
    pub fn keepalive(mut self, keepalive: Duration) -> Self {
        self.session.keepalive = Millis::from(keepalive).max(Millis(4));
        self
    }

    /// Sets the maximum length of a frame from a server, in bytes. Default: 4 MiB.
    pub fn max_frame(mut self, bytes: usize) -> Self {
        self.session.max_frame = bytes;
        self
    }

    /// Sets the number of connections to one address; at least 1. Without a registry it is the number (default 1). With a
    /// registry it is a maximum for addresses that several workers share (default 16): such an address gets one connection for
    /// each worker behind it. Workers with a port of their own are all connected to, each once.
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = Some(connections.max(1));
        self
    }

    /// Uses a subset of so many instances (workers of a preforked service), at least 1: for services so large that a connection
    /// from every client to every instance is too much. Default: all of them.
    ///
    /// All clients together use all instances evenly if they are [numbered](Self::client_number), and evenly by chance
    /// otherwise. The subset is stable: an instance that comes or goes moves two connections at most, on average about one, and a rolling
    /// restart moves none.
    /// Choose a dozen or more, so that some may fail. Clients with different subsets send calls of one hash key to different
    /// instances.
    pub fn aperture(mut self, instances: usize) -> Self {
        self.aperture = Some(instances.max(1));
        self
    }

    /// Sets the number of this client among those with an [`aperture`](Self::aperture): from 0 on, each number once, such as the
    /// ordinal of a pod. Default: a place by chance, of the [seed](Self::seed).
    pub fn client_number(mut self, number: u32) -> Self {
        self.number = Some(number);
        self
    }

    /// Sets the maximum number of calls at a time on one connection; more calls wait. Default: 1,024, which is also a
    /// server's default limit.
    pub fn max_in_flight(mut self, calls: usize) -> Self {
        self.pool.max_in_flight = calls.max(1);
        self
    }

    /// Sets the maximum number of counted retries of one call. Default: 2; 0 for none.
    ///
    /// Counted are retries after an overloaded server has refused the call, and those of idempotent calls after a lost
    /// connection or the answer `UNAVAILABLE`. Retries of calls that certainly did not run (not sent, or refused by a
    /// server that is leaving) are not counted. The number is low on purpose: a call that crashes its worker crashes
    /// another one with each retry.
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.max_retries = retries;
        self
    }

    /// Sets the number of counted retries (see [`max_retries`](Self::max_retries)) of all calls together: `burst` at once
    /// (default 1,000, because a worker may die under as many calls; 0 for none at all), then `percent` for each hundred
    /// calls (default 20). Beyond that a call ends with the error of its last attempt.
    ///
    /// Without a bound an overloaded service would get each call several times, just when it can do the least.
    pub fn retry_budget(mut self, burst: u32, percent: u32) -> Self {
        (self.retry_burst, self.retry_percent) = (burst, percent);
        self
    }

    /// Hedges idempotent calls that take longer than `percent` of the last calls of the same method, 95 for instance: each is
    /// sent to another instance, too, as by [`Call::hedge`](crate::Call::hedge). Default: none are hedged. It takes a hundred calls of a method to begin.
    pub fn hedge_slower_than(mut self, percent: u32) -> Self {
        self.hedge_percentile = Some(percent);
        self
    }

    /// Sets the maximum number of bytes that wait on one connection for a server that does not read them. More calls
    /// wait for room, up to their deadlines; one request alone may be longer. Default: 16 MiB.
    pub fn max_queued(mut self, bytes: usize) -> Self {
        self.session.max_queued = bytes;
        self
    }

    /// Sets the way in which calls are spread over the instances. Default: [`Balancer::PowerOfTwo`].
    pub fn balancer(mut self, balancer: Balancer) -> Self {
        self.pool.balancer = balancer;
        self
    }

    /// Sets the rules by which an instance that does worse than the others gets no calls for a while.
    pub fn outlier_ejection(mut self, rules: OutlierEjection) -> Self {
        self.pool.outliers = rules;
        self
    }

    /// Sets the zone of this client. Calls stay with the instances of [this zone](registry::Instance::with_zone) while
    /// five of seven of their weight are healthy; with less they go to others in proportion.
    pub fn zone(mut self, zone: impl Into<String>) -> Self {
        self.pool.zone = Some(zone.into());
        self
    }

    /// Sets the time in which the share of a new connection grows to the whole, because a process that has just started is
    /// slow. Default: zero. A [warm-up in the registry](registry::Instance::with_warm_up) counts besides.
    pub fn warm_up(mut self, time: Duration) -> Self {
        self.pool.warm_up = time.into();
        self
    }

    /// Sets a hook that adds the trace context of each call's span to its metadata: `traceparent` and `tracestate`. The hook
    /// runs only if a subscriber of `tracing` wants the span.
    ///
    /// The span `rpc.client`, of the level DEBUG and the target `rpc_client`, is around all attempts of a call. Its fields are
    /// those of OpenTelemetry's conventions for RPC. The example `opentelemetry` of rpc-server has the hook for
    /// tracing-opentelemetry.
    ///
    /// Without a hook, calls that are made inside the handler of an RPC server carry its trace context on as it came.
    ///
    /// ```
    /// # let builder = rpc_client::Client::direct("shop", ["127.0.0.1:7000"]);
    /// let builder = builder.span_context(|span, metadata| {
    ///     // For tracing-opentelemetry: the context of `span`, by its propagator.
    ///     let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    ///     let _ = metadata.push("traceparent", parent);
    /// });
    /// ```
    pub fn span_context(
        mut self,
        hook: impl Fn(&tracing::Span, &mut Metadata) + Send + Sync + 'static,
    ) -> Self {
        self.context_hook = Some(ContextHook(Box::new(hook)));
        self
    }

    /// Sets the seed of balancing and jitter, for repeatable runs. Default: random.
    pub fn seed(mut self, seed: u64) -> Self {
        self.pool.seed = seed;
        self
    }

    /// Begins to follow the registry and to connect. Does not wait for an instance; calls do.
    ///
    /// # Errors
    /// [`Error::Registry`] if the registry cannot be asked.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn connect(self) -> Result<Client, Error> {
        let (source, targets) = match self.instances {
            Instances::Fixed(addrs) => (None, targets::fixed(&addrs, self.connections.unwrap_or(1))),
            Instances::Registry(registry) => {
                let options = SubscribeOptions::default().empty_after(self.hold);
                let subscription = registry.subscribe_with(&self.session.service, options).await?;
                let aperture = self.aperture.map(|size| match self.number {
                    Some(number) => Aperture::of_client(size, number),
                    None => Aperture::at_random(size, self.pool.seed),
                });
                let max_connections = self.connections.unwrap_or(MAX_CONNECTIONS);
                let mut routes = Routes::new(max_connections, aperture, self.pool.seed);
                routes.handle_members(Millis(0), subscription.current());
                let targets = routes.targets(unix_ms());
                (Some(Source { subscription: Some(subscription), routes }), targets)
            }
        };
        let connector = self.connector;
        #[cfg(feature = "tls")]
        let connector = match self.tls {
            Some(tls) => Arc::new(TlsConnect::new(connector, tls)),
            None => connector,
        };
        let budget = Budget::new(self.retry_burst, self.retry_percent);
        let settings = Settings {
            patience: self.patience.into(),
            connect_timeout: self.connect_timeout.into(),
            max_retries: self.max_retries,
            failure_codes: self.pool.outliers.failure_codes(),
            hedge_percentile: self.hedge_percentile,
        };
        let mut shared = Shared::new(self.session, settings, budget, Pool::new(self.pool));
        shared.context_hook = self.context_hook;
        let shared = Arc::new(shared);
        shared.feed(Input::Targets(targets));
        let keeper = tokio::spawn(run_pool(shared.clone(), connector, source)).abort_handle();
        #[cfg(feature = "tower")]
        let layers = (!self.layers.is_empty()).then(|| {
            self.layers.into_iter().fold(Calls::new(Arc::clone(&shared)), |calls, layer| layer(calls))
        });
        Ok(Client::new(Inner {
            kept: Arc::new(Kept::new(shared, keeper)),
            deadline: self.deadline,
            #[cfg(feature = "tower")]
            layers,
        }))
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("instances", &self.instances)
            .field("session", &self.session)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
