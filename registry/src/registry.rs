//! Handle of the registry.

use std::collections::HashSet;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use common::log::quietly;
use zk_client::{Acl, Client};

use crate::builder::Builder;
use crate::cache::Cache;
use crate::codec::{Codec, Json};
use crate::credentials::Credentials;
use crate::discovery;
use crate::error::Error;
use crate::instance::Instance;
use crate::members::Members;
use crate::node::ServiceNode;
use crate::registration::{RegisterOptions, Registration};
use crate::seed::own_seed;
use crate::services::Services;
use crate::state::ConnectionStates;
use crate::subscription::{Sources, SubscribeOptions, Subscription};

/// Registers services and finds them. Clones are handles to the same session. The [crate's documentation](crate) has an
/// example.
#[derive(Clone, Debug)]
pub struct Registry {
    client: Client,
    root: Arc<str>,
    /// ACL of the nodes that registrations create.
    acl: Arc<[Acl]>,
    /// Seed of the next registration or subscription.
    seed: Arc<AtomicU64>,
    sources: Arc<Sources>,
    #[cfg(feature = "embedded")]
    server: Option<crate::embedded::Server>,
}

impl Registry {
    /// Connects to one of `servers`, `host:port,host:port/chroot`, with the defaults of [`Registry::builder`].
    ///
    /// # Errors
    /// The errors of [`Builder::connect`].
    pub async fn connect(servers: &str) -> Result<Self, Error> {
        Self::builder().servers(servers).connect().await
    }

    /// Checks a list of servers without connecting: for a program that reads its settings.
    ///
    /// # Errors
    /// [`Error::Connect`] with the defect.
    pub fn check_servers(servers: &str) -> Result<(), Error> {
        zk_client::check_servers(servers).map_err(|error| Error::Connect(error.into()))
    }

    /// Begins to configure a registry.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Makes a registry over an existing client, with the defaults of [`Registry::builder`]. Closing the one closes the other.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self::over(client, String::new(), vec![Acl::open()], own_seed(), None)
    }

    pub(crate) fn over(client: Client, root: String, acl: Vec<Acl>, seed: u64, cache: Option<Cache>) -> Self {
        let clock = client.clock();
        Self {
            client,
            root: root.into(),
            acl: acl.into(),
            seed: Arc::new(AtomicU64::new(seed)),
            sources: Sources::new(clock, cache),
            #[cfg(feature = "embedded")]
            server: None,
        }
    }

    /// Registers an instance of a service, and returns when others can find it. It stays registered as long as the
    /// [`Registration`] lives; see there for the end of a program.
    ///
    /// Waits while no server is connected: put a timeout around it if that matters. Dropping the future withdraws the
    /// instance.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Instance`]; [`Error::Refused`] if the servers refuse it; [`Error::Closed`].
    pub async fn register(&self, service: &str, instance: Instance) -> Result<Registration, Error> {
        self.register_with(service, instance, RegisterOptions::default()).await
    }

    /// Registers an instance as [`Self::register`] does, with options: an id, formats.
    ///
    /// # Errors
    /// The errors of [`Self::register`]; [`Error::Id`]; [`Error::SamePath`]; [`Error::Withdrawn`] if a newer instance with the id
    /// comes before this one is found.
    pub async fn register_with(
        &self,
        service: &str,
        instance: Instance,
        options: RegisterOptions,
    ) -> Result<Registration, Error> {
        let nodes = self.nodes(service, &options.codecs)?;
        check_apart(&nodes)?;
        let (client, seed) = (self.client.clone(), self.next_seed());
        Registration::start(client, service.into(), nodes, instance, options, seed).await
    }

    /// Returns the present instances of a service, with the default [`SubscribeOptions`]: those that are up. A service that was
    /// never registered has none.
    ///
    /// # Errors
    /// [`Error::Name`]; [`Error::Refused`] if the servers refuse it or did not answer within the session timeout;
    /// [`Error::Closed`].
    pub async fn discover(&self, service: &str) -> Result<Members, Error> {
        self.discover_with(service, SubscribeOptions::default()).await
    }

    /// Returns the present instances of a service as [`Self::discover`] does, with the formats and the filter of the options.
    ///
    /// # Errors
    /// The errors of [`Self::discover`].
    pub async fn discover_with(&self, service: &str, options: SubscribeOptions) -> Result<Members, Error> {
        let nodes = self.nodes(service, &options.codecs)?;
        discovery::discover(&nodes, &options.filter).await.map_err(|source| match source {
            zk_client::Error::Closed { .. } => Error::Closed,
            source => Error::Refused { action: "discover", service: service.to_owned(), source },
        })
    }

    /// Follows the instances of a service, with the default [`SubscribeOptions`]. Returns when the present instances are
    /// known. A service that does not exist has none; its creation is waited for with a watch.
    ///
    /// Waits while no server is connected: put a timeout around it if that matters. Dropping the future ends the
    /// subscription.
    ///
    /// # Errors
    /// [`Error::Name`]; [`Error::Refused`] if the servers refuse it; [`Error::Closed`].
    pub async fn subscribe(&self, service: &str) -> Result<Subscription, Error> {
        self.subscribe_with(service, SubscribeOptions::default()).await
    }

    /// Follows the instances of a service as [`Self::subscribe`] does, with options.
    ///
    /// # Errors
    /// The errors of [`Self::subscribe`].
    pub async fn subscribe_with(
        &self,
        service: &str,
        options: SubscribeOptions,
    ) -> Result<Subscription, Error> {
        let nodes = self.nodes(service, &options.codecs)?;
        Subscription::start(&self.sources, &nodes, options, self.next_seed()).await
    }

    /// Follows the names of the services, in the default format. Returns when the present ones are known.
    ///
    /// Waits while no server is connected: put a timeout around it if that matters.
    ///
    /// # Errors
    /// [`Error::Services`] if the servers refuse it; [`Error::Closed`].
    pub async fn services(&self) -> Result<Services, Error> {
        self.services_with(Arc::new(Json)).await
    }

    /// Follows the names of the services of a format, as [`Self::services`] does.
    ///
    /// # Errors
    /// The errors of [`Self::services`].
    pub async fn services_with(&self, codec: Arc<dyn Codec>) -> Result<Services, Error> {
        let path = codec.services_path(&self.root);
        let path = path.map_err(|reason| Error::Name { name: self.root.to_string(), reason })?;
        Services::start(self.node_at("", path, codec), self.sources.clock(), self.next_seed()).await
    }

    /// Returns the credentials of the session that owns our instances; `None` while there is no session.
    #[must_use]
    pub fn credentials(&self) -> Option<Credentials> {
        self.client.credentials().map(Credentials::new)
    }

    /// Follows the state of the connection to the servers.
    #[must_use]
    pub fn connection(&self) -> ConnectionStates {
        ConnectionStates::new(self.client.states())
    }

    /// Returns the servers, each as `host:port`.
    #[must_use]
    pub fn servers(&self) -> &[String] {
        self.client.servers()
    }

    /// Closes the session, for all clones: our instances go at once, and subscriptions end. Closing again is no error.
    ///
    /// # Errors
    /// [`Error::Close`] if no server confirmed it within the session timeout, which then ends the session.
    pub async fn close(&self) -> Result<(), Error> {
        self.client.close().await.map_err(Error::Close)
    }

    /// Closes the session as [`Self::close`] does, but gives up after `limit`: for a program that has to end by then.
    ///
    /// # Errors
    /// [`Error::Close`] if no server confirmed it within `limit`; the session timeout then ends the session.
    pub async fn close_within(&self, limit: Duration) -> Result<(), Error> {
        self.client.close_within(limit).await.map_err(Error::Close)
    }

    /// Does the work, then closes the registry within `limit`: a guard for `main`. Our instances go at once, and not a
    /// session timeout later, if the work ends with a result, with an error behind a `?`, or with a panic, which goes on
    /// afterwards. A failure to close is logged.
    ///
    /// A signal that ends the process must end the work, for instance through `tokio::signal`. Nothing helps against
    /// `SIGKILL` and `std::process::exit`.
    ///
    /// ```
    #[cfg_attr(not(feature = "embedded"), doc = "# #[cfg(any())]")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), registry::Error> {
    /// use std::time::Duration;
    /// use registry::{Error, Instance, Registry};
    ///
    /// async fn serve(registry: &Registry) -> Result<(), Error> {
    ///     let _registration = registry.register("demo", Instance::new("127.0.0.1", 8080)).await?;
    ///     // Serves until it stops or fails, as here:
    ///     registry.register("de/mo/", Instance::new("127.0.0.1", 8081)).await?;
    ///     Ok(())
    /// }
    ///
    /// let registry = Registry::embedded().await?;
    /// let served = registry.run_then_close(Duration::from_secs(2), serve(&registry)).await;
    /// assert!(served.is_err());
    /// let server = registry.server().expect("it is embedded");
    /// assert!(server.sessions().is_empty(), "the program may end now");
    /// # Ok(())
    /// # }
    #[cfg_attr(not(feature = "embedded"), doc = "# #[cfg(not(any()))] fn main() {}")]
    /// ```
    pub async fn run_then_close<T>(&self, limit: Duration, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let outcome = poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(done)) => Poll::Ready(Ok(done)),
            Err(panic) => Poll::Ready(Err(panic)),
        })
        .await;
        if let Err(error) = self.close_within(limit).await {
            quietly(
                || tracing::warn!(%error, "the registry could not be closed; its session ends by the timeout"),
            );
        }
        outcome.unwrap_or_else(|panic| resume_unwind(panic))
    }

    fn nodes(&self, service: &str, codecs: &[Arc<dyn Codec>]) -> Result<Vec<ServiceNode>, Error> {
        codecs.iter().map(|codec| self.node(service, codec.clone())).collect()
    }

    fn node(&self, service: &str, codec: Arc<dyn Codec>) -> Result<ServiceNode, Error> {
        let path = codec.service_path(&self.root, service);
        let path = path.map_err(|reason| Error::Name { name: service.to_owned(), reason })?;
        Ok(self.node_at(service, path, codec))
    }

    fn node_at(&self, service: &str, path: String, codec: Arc<dyn Codec>) -> ServiceNode {
        let (client, acl) = (self.client.clone(), self.acl.clone());
        ServiceNode { client, service: service.into(), path: path.into(), codec, acl }
    }

    fn next_seed(&self) -> u64 {
        self.seed.fetch_add(1, Ordering::Relaxed)
    }

    #[cfg(feature = "embedded")]
    pub(crate) fn with_server(mut self, server: crate::embedded::Server) -> Self {
        self.server = Some(server);
        self
    }

    #[cfg(feature = "embedded")]
    pub(crate) fn embedded_server(&self) -> Option<&zk_mini::ZkMini> {
        self.server.as_deref()
    }
}

/// Checks that no two formats write below the same node: one would take the place of the other there, or stand beside it.
fn check_apart(nodes: &[ServiceNode]) -> Result<(), Error> {
    let mut paths = HashSet::new();
    match nodes.iter().find(|node| !paths.insert(&node.path)) {
        Some(node) => Err(Error::SamePath { path: node.path.to_string() }),
        None => Ok(()),
    }
}
