//! How a registry is described and connected.

use std::fmt;
use std::time::Duration;

use crate::error::Error;
use crate::registry::Registry;
use crate::service;

/// Describes a registry; see each option for its default.
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
    seed: Option<u64>,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self { client: zk_client::Client::builder(), root: String::new(), seed: None }
    }

    /// The servers, and the node that everything is below if there is one: `host:port,host:port/chroot`; by
    /// default `127.0.0.1:2181`.
    pub fn servers(mut self, servers: impl Into<String>) -> Self {
        self.client = self.client.servers(servers);
        self
    }

    /// A name that goes before that of every service, as `services`. By default there is none: service `demo` is
    /// the node `/demo`.
    pub fn root(mut self, root: impl Into<String>) -> Self {
        self.root = root.into();
        self
    }

    /// After how long without a sign of life our instances go: 10 seconds by default. The servers may decide on
    /// another time within their limits, by default 4 to 40 seconds.
    pub fn session_timeout(mut self, timeout: Duration) -> Self {
        self.client = self.client.session_timeout(timeout);
        self
    }

    /// How long [`Self::connect`] tries: 10 seconds by default.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.client = self.client.connect_timeout(timeout);
        self
    }

    /// How connections are opened, if not over TCP.
    pub fn via(mut self, connector: impl zk_client::Connect) -> Self {
        self.client = self.client.via(connector);
        self
    }

    /// Connects in memory to a server in the same process.
    #[cfg(feature = "embedded")]
    pub fn embedded(self, server: &zk_mini::ZkMini) -> Self {
        self.via(crate::embedded::InMemory::new(server))
    }

    /// Makes names and delays reproducible. Random by default.
    pub fn seed(mut self, seed: u64) -> Self {
        self.client = self.client.seed(seed);
        self.seed = Some(seed);
        self
    }

    /// Connects; returns with a live session. Needs a tokio runtime, and the registry lives as long as that.
    ///
    /// # Errors
    /// [`Error::Connect`], which names the servers and what went wrong there, if none was reached within the
    /// connect timeout or if the list cannot be read; [`Error::Name`] for a root that cannot be one.
    pub async fn connect(self) -> Result<Registry, Error> {
        service::root_path(&self.root).map_err(|reason| Error::Name { name: self.root.clone(), reason })?;
        let client = self.client.connect().await.map_err(Error::Connect)?;
        Ok(Registry::over(client, self.root, self.seed.unwrap_or_else(|| fastrand::u64(..))))
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
