//! Announcement of a server in the registry, as its user describes it.

pub(crate) mod announcer;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use registry::{Instance, RegisterOptions, Registry};
use rpc_wire::INSTANCE_FIELD;

use announcer::Announcer;

use crate::chance::seed_of;

/// Entry of a server in the registry, for [`Server::announce`](crate::Server::announce): the same one for each of its services.
/// A [`Registry`] is one with all defaults.
///
/// ```
/// use registry::Registry;
/// use rpc_client::Client;
/// use rpc_server::{Announcement, Context, Server, Service, Status};
/// use tokio::net::TcpListener;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let echo = |text: String, _: Context| async move { Ok::<_, Status>(text) };
/// let service = Service::builder("echo").method("echo", echo).build();
///
/// let registry = Registry::embedded().await?; // a zk-mini in this process
/// let entry = Announcement::new(&registry).fields(|instance| instance.with_zone("eu-1").with_weight(50));
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// tokio::spawn(Server::new(service).announce(entry).serve(listener, std::future::pending()));
///
/// let client = Client::builder(registry.clone(), "echo").connect().await?;
/// let echoed: String = client.call("echo", "hello").await?;
/// assert_eq!(echoed, "hello");
/// let members = registry.discover("echo").await?;
/// assert!(members.instances.values().all(|instance| instance.zone() == Some("eu-1")));
/// # Ok(())
/// # }
/// ```
#[must_use = "give it to `Server::announce`"]
pub struct Announcement {
    registry: Registry,
    pub(crate) host: Option<String>,
    port: Option<u16>,
    fields: Option<Fields>,
    options: RegisterOptions,
    pub(crate) farewell: Duration,
}

/// Fields of the entry beside its address and identity.
type Fields = Box<dyn FnOnce(Instance) -> Instance + Send>;

impl Announcement {
    /// Announces in this registry. One that was opened by
    /// [`connect_in_background`](registry::Builder::connect_in_background) may be away at the start.
    pub fn new(registry: &Registry) -> Self {
        Self {
            registry: registry.clone(),
            host: None,
            port: None,
            fields: None,
            options: RegisterOptions::default(),
            farewell: Duration::from_secs(1),
        }
    }

    /// Sets the host that clients connect to. Default: the address of the listener.
    pub fn advertise(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// Sets the port that clients connect to, where another one than the listener's leads here. Default: that of the listener.
    pub fn advertise_port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Adds fields to the entry: weight, zone, tags, anything.
    pub fn fields(mut self, fields: impl FnOnce(Instance) -> Instance + Send + 'static) -> Self {
        self.fields = Some(Box::new(fields));
        self
    }

    /// Sets the options of the registration: an id, formats, a warm-up.
    pub fn options(mut self, options: RegisterOptions) -> Self {
        self.options = options;
        self
    }

    /// Sets the longest time that the server goes on serving after it has left the registry, until its clients have noticed and
    /// closed their connections. Default: 1 s.
    pub fn farewell(mut self, bound: Duration) -> Self {
        self.farewell = bound;
        self
    }

    /// Returns host and port for clients, if both are set.
    pub(crate) fn address(&self) -> Option<(String, u16)> {
        self.host.clone().zip(self.port)
    }

    /// Returns the announcer of a server with these services, identity and address.
    pub(crate) fn into_announcer(
        self,
        services: Vec<String>,
        identity: &str,
        host: String,
        port: u16,
    ) -> Announcer<impl Fn(&Registry) + use<>> {
        let host = self.host.unwrap_or(host);
        let instance = Instance::new(host, self.port.unwrap_or(port)).with(INSTANCE_FIELD, identity);
        let instance = match self.fields {
            Some(fields) => fields(instance),
            None => instance,
        };
        Announcer::new(self.registry, services, instance, self.options, seed_of(identity), |_| {})
    }
}

/// The listener's address stands for every one of this host.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0} stands for every address of this host; set the one for clients with `advertise`")]
pub(crate) struct Unspecified(pub(crate) SocketAddr);

/// Returns the host for clients: the one that was set, or else that of the listener.
pub(crate) fn advertised(host: Option<&str>, listener: SocketAddr) -> Result<String, Unspecified> {
    match host {
        Some(host) => Ok(host.to_owned()),
        None if listener.ip().is_unspecified() => Err(Unspecified(listener)),
        None => Ok(listener.ip().to_string()),
    }
}

impl From<Registry> for Announcement {
    fn from(registry: Registry) -> Self {
        Self::new(&registry)
    }
}

impl From<&Registry> for Announcement {
    fn from(registry: &Registry) -> Self {
        Self::new(registry)
    }
}

impl fmt::Debug for Announcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Announcement")
            .field("registry", &self.registry)
            .field("host", &self.host)
            .field("port", &self.port)
            .field("options", &self.options)
            .field("farewell", &self.farewell)
            .finish_non_exhaustive()
    }
}
