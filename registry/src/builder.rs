//! Configuration of a registry.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use zk_client::{Acl, Clock};

use crate::cache::Cache;
use crate::error::Error;
use crate::registry::Registry;
use crate::seed::own_seed;
use crate::service;

/// Configures a registry; finish with [`Builder::connect`] or [`Builder::connect_in_background`]. Every option has a
/// default.
///
/// ```no_run
/// # use std::time::Duration;
/// # async fn run() -> Result<(), registry::Error> {
/// let registry = registry::Registry::builder()
///     .servers("zk1:2181,zk2:2181,zk3:2181/production")
///     .session_timeout(Duration::from_secs(6))
///     .connect()
///     .await?;
/// # Ok(()) }
/// ```
#[must_use = "nothing happens before `connect`"]
pub struct Builder {
    client: zk_client::Builder,
    root: String,
    acl: Vec<Acl>,
    seed: Option<u64>,
    cache: Option<Cache>,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            client: zk_client::Client::builder(),
            root: String::new(),
            acl: vec![Acl::open()],
            seed: None,
            cache: None,
        }
    }

    /// Sets all options of the client, for those that have no method here. Those that are set afterwards change it. Default:
    /// [`zk_client::Client::builder`].
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # async fn run() -> Result<(), registry::Error> {
    /// let client = zk_client::Client::builder().servers("zk1:2181").call_timeout(Duration::from_secs(3));
    /// let registry = registry::Registry::builder().client(client).root("services").connect().await?;
    /// # Ok(()) }
    /// ```
    pub fn client(mut self, client: zk_client::Builder) -> Self {
        self.client = client;
        self
    }

    /// Sets the servers, with an optional chroot below which everything lies: `host:port,host:port/chroot`. Default:
    /// `127.0.0.1:2181`.
    pub fn servers(mut self, servers: impl Into<String>) -> Self {
        self.client = self.client.servers(servers);
        self
    }

    /// Sets a name that is put before that of every service: with `services`, service `demo` is the node
    /// `/services/demo`. Default: none, the node is `/demo`.
    pub fn root(mut self, root: impl Into<String>) -> Self {
        self.root = root.into();
        self
    }

    /// Sets the session timeout: instances go when the servers have not heard from us for so long. Servers adjust it to
    /// their limits, by default 4 to 40 seconds. Default: 10 seconds.
    pub fn session_timeout(mut self, timeout: Duration) -> Self {
        self.client = self.client.session_timeout(timeout);
        self
    }

    /// Sets the time after which [`Self::connect`] gives up. Default: 10 seconds.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.client = self.client.connect_timeout(timeout);
        self
    }

    /// Adds an identity, for example scheme `digest` with `user:password`. It is given on each connection, before anything
    /// else. Default: none.
    pub fn auth(mut self, scheme: &str, secret: impl Into<Bytes>) -> Self {
        self.client = self.client.auth(scheme, secret);
        self
    }

    /// Logs in as a user of SASL, by the mechanism DIGEST-MD5, on each connection, before anything else; see
    /// [`zk_client::Builder::sasl`]. Default: none.
    pub fn sasl(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.client = self.client.sasl(user, password);
        self
    }

    /// Sets the ACL of all nodes that registrations create: instances, services and their missing parents. Nodes that exist
    /// keep theirs. Default, also for an empty list: everything is allowed to everyone.
    ///
    /// Others must be able to read, and every instance of a service must be able to create and delete below the
    /// service's node.
    ///
    /// ```
    #[cfg_attr(not(feature = "embedded"), doc = "# #[cfg(any())]")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let zk = zk_mini::ZkMini::start().await?;
    /// use registry::{Acl, Error, Instance, Registry};
    ///
    /// let builder = || Registry::builder().servers(zk.connect_string());
    /// let ours = builder().auth("digest", "payments:secret").acl([Acl::creator_only(), Acl::read_only()]);
    /// let registry = ours.connect().await?;
    /// let registration = registry.register("demo", Instance::new("127.0.0.1", 8080)).await?;
    ///
    /// let strangers = builder().connect().await?;
    /// assert_eq!(strangers.discover("demo").await?.len(), 1);
    /// let refused = strangers.register("demo", Instance::new("127.0.0.1", 8081)).await;
    /// assert!(matches!(refused, Err(Error::Refused { .. })));
    /// # drop(registration);
    /// # Ok(())
    /// # }
    #[cfg_attr(not(feature = "embedded"), doc = "# #[cfg(not(any()))] fn main() {}")]
    /// ```
    pub fn acl(mut self, acl: impl IntoIterator<Item = Acl>) -> Self {
        self.acl = acl.into_iter().collect();
        if self.acl.is_empty() {
            self.acl.push(Acl::open());
        }
        self
    }

    /// Opens connections in another way than over TCP.
    pub fn via(mut self, connector: impl zk_client::Connect) -> Self {
        self.client = self.client.via(connector);
        self
    }

    /// Speaks TLS over each connection: see `zk_client::Builder::tls`, also for the options by which the list of servers may
    /// ask for TLS instead. Default: no TLS. With the feature `tls`.
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// use registry::{Pem, Registry, TlsConfig};
    ///
    /// let tls = TlsConfig::new(Pem::file("ca.pem")).certificate(Pem::file("me.pem"), Pem::file("me.key")).load()?;
    /// let registry = Registry::builder().servers("zk1:2281,zk2:2281/services").tls(tls).connect().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: zk_client::Tls) -> Self {
        self.client = self.client.tls(tls);
        self
    }

    /// Connects in memory to a server in the same process, and follows its [clock](zk_mini::Handle::clock): a test that moves
    /// the server's time moves the registry's, too, and while the clock is held, pauses pass only by such moves.
    /// [`Self::clock`] afterwards sets another clock.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use registry::{Instance, Registry};
    /// use zk_mini::ZkMini;
    ///
    /// let zk = ZkMini::builder().in_memory().manual_clock().start().await?;
    /// let server = Registry::builder().embedded(&zk).connect().await?;
    /// let _instance = server.register("echo", Instance::new("127.0.0.1", 8080)).await?;
    /// let client = Registry::builder().embedded(&zk).connect().await?;
    /// let echo = client.subscribe("echo").await?;
    ///
    /// zk.advance(Duration::from_secs(3600)).await; // an hour of pings
    /// assert_eq!(echo.current().len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "embedded")]
    pub fn embedded(self, server: &zk_mini::ZkMini) -> Self {
        self.via(crate::embedded::InMemory::new(server)).clock(server.clock())
    }

    /// Makes the names of nodes and the pauses between retries reproducible. Default: random.
    pub fn seed(mut self, seed: u64) -> Self {
        self.client = self.client.seed(seed);
        self.seed = Some(seed);
        self
    }

    /// Sets the clock of all timeouts and pauses, for a test that moves time: see [`zk_client::Builder::clock`]. Default: tokio's.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.client = self.client.clock(clock);
        self
    }

    /// Keeps the last members of each service that is subscribed to in a file in this directory, for a start while the
    /// registry is away. Default: none.
    ///
    /// While no server is connected, a new subscription that has no answer yet has the members of the file at once. They are
    /// [stale](crate::Members::stale), with [the time of their confirmation](crate::Members::cached), until the registry
    /// answers. A service that was empty is empty in its file, too. While a server is connected the files are not read.
    ///
    /// Files are replaced in one step, at most once a second, on a thread for blocking work; they have at most 32 MiB, and a
    /// service with more members has none. The directory is created when it is missing. Registries, and processes, may share it.
    /// A file that is damaged, or of another service or ensemble, is named in the log and replaced later; so is an error to
    /// write. Neither ends a subscription.
    ///
    /// ```
    #[cfg_attr(not(feature = "embedded"), doc = "# #[cfg(any())]")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use registry::{Registry, unix_ms};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// # let cache = directory.path();
    /// let registry = Registry::builder().servers("zk1.test:2181").cache(cache).connect_in_background().await?;
    /// // With a file of this service this returns at once, otherwise with the answer of the registry.
    /// let subscribed = tokio::time::timeout(Duration::from_millis(1), registry.subscribe("demo")).await;
    /// if let Ok(demo) = subscribed {
    ///     if let Some(age) = demo?.current().age(unix_ms()) {
    ///         println!("the registry is away; these are the members of {age:?} ago");
    ///     }
    /// }
    /// # Ok(())
    /// # }
    #[cfg_attr(not(feature = "embedded"), doc = "# #[cfg(not(any()))] fn main() {}")]
    /// ```
    pub fn cache(mut self, directory: impl Into<PathBuf>) -> Self {
        self.cache = Some(Cache::new(directory.into()));
        self
    }

    /// Connects, and returns with a live session. Needs a tokio runtime; the registry works as long as the runtime does.
    ///
    /// # Errors
    /// [`Error::Connect`] if the list of servers cannot be read, or if no server was reached within the connect timeout,
    /// with the cause for each server; [`Error::Name`] for an invalid root.
    pub async fn connect(self) -> Result<Registry, Error> {
        self.check_root()?;
        let client = self.client.connect().await.map_err(Error::Connect)?;
        let seed = self.seed.unwrap_or_else(own_seed);
        Ok(Registry::over(client, self.root, self.acl, seed, self.cache))
    }

    /// Returns a registry at once, in the state [`ConnectionState::Connecting`](crate::ConnectionState::Connecting): for a
    /// program that must start while the servers are away. It connects in the background, for as long as it takes.
    /// Registrations and subscriptions wait for it; with a [cache](Self::cache), a subscription has the members of the last
    /// time at once.
    ///
    /// An identity of [`Self::auth`], or a login of [`Self::sasl`], that the servers refuse is tried again, too, with a warning in the log.
    ///
    /// Needs a tokio runtime as [`Self::connect`] does. Nothing here waits: it is `async` for
    /// [`Wait`](crate::blocking::Wait), which has the runtime.
    ///
    /// # Errors
    /// [`Error::Connect`] if the list of servers cannot be read; [`Error::Name`] for an invalid root.
    pub async fn connect_in_background(self) -> Result<Registry, Error> {
        self.check_root()?;
        let client = self.client.connect_in_background().await.map_err(Error::Connect)?;
        let seed = self.seed.unwrap_or_else(own_seed);
        Ok(Registry::over(client, self.root, self.acl, seed, self.cache))
    }

    /// Returns the builder of the client alone.
    pub(crate) fn into_client(self) -> zk_client::Builder {
        self.client
    }

    fn check_root(&self) -> Result<(), Error> {
        let checked = service::root_path(&self.root).map(drop);
        checked.map_err(|reason| Error::Name { name: self.root.clone(), reason })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("client", &self.client)
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}
