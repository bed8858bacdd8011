//! How a client is described and connected.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use common::Millis;
use tokio::runtime::Handle;
use zk_wire::DEFAULT_MAX_FRAME;

use crate::call::Inner;
use crate::chroot::Chroot;
use crate::client::Client;
use crate::connect::{Connect, TcpConnect};
use crate::driver::Driver;
use crate::error::Error;
use crate::servers::{ConnectString, parse_chroot};
use crate::session;
use crate::state::SessionState;

/// How many calls a client keeps that have no answer yet.
const MAX_PENDING: usize = 64 * 1024;

/// What the one "server" is called where a connector is given and no list.
const IN_MEMORY: &str = "in-memory";

/// Describes a client; see each option for its default.
///
/// ```
/// # use std::time::Duration;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let zk = zk_mini::ZkMini::start().await?;
/// # let servers = zk.connect_string();
/// let client = zk_client::Client::builder()
///     .servers(servers)
///     .chroot("/services")
///     .session_timeout(Duration::from_secs(6))
///     .connect()
///     .await?;
/// client.ensure_path("/").await?; // creates /services
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing happens before `connect`"]
pub struct Builder {
    servers: Option<String>,
    chroot: Option<String>,
    connector: Option<Arc<dyn Connect>>,
    session_timeout: Duration,
    connect_timeout: Duration,
    call_timeout: Option<Duration>,
    max_request: usize,
    seed: Option<u64>,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            servers: None,
            chroot: None,
            connector: None,
            session_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            call_timeout: None,
            max_request: DEFAULT_MAX_FRAME,
            seed: None,
        }
    }

    /// The servers, and the node that shall be `/` if there is one: `host:port,host:port/chroot`. A name may stand
    /// for several addresses; each is tried by itself. The default is `127.0.0.1:2181`, or the connector's one end if
    /// there is a connector.
    pub fn servers(mut self, servers: impl Into<String>) -> Self {
        self.servers = Some(servers.into());
        self
    }

    /// The node that shall be `/`, below the one of the list of servers if that has one too. It need not
    /// exist; [`Client::ensure_path`] creates it.
    pub fn chroot(mut self, chroot: impl Into<String>) -> Self {
        self.chroot = Some(chroot.into());
        self
    }

    /// How connections are opened: [`TcpConnect`] by default.
    pub fn via(mut self, connector: impl Connect) -> Self {
        self.connector = Some(Arc::new(connector));
        self
    }

    /// How long the servers keep the session without hearing from the client: 10 seconds by default. The
    /// server may decide on another one, within its limits.
    pub fn session_timeout(mut self, timeout: Duration) -> Self {
        self.session_timeout = timeout;
        self
    }

    /// How long [`Self::connect`] tries: 10 seconds by default.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long a call waits for a connection while there is none: the session timeout by default.
    pub fn call_timeout(mut self, timeout: Duration) -> Self {
        self.call_timeout = Some(timeout);
        self
    }

    /// The largest request that the servers read, `jute.maxbuffer`: 1 MiB less one byte by default, 2 GiB less one byte at
    /// most, which no frame can exceed.
    pub fn max_request(mut self, bytes: usize) -> Self {
        self.max_request = bytes.min(i32::MAX as usize);
        self
    }

    /// Makes the order of servers and the jitter reproducible. Random by default.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Connects; returns with a live session. Needs a tokio runtime with its I/O and time drivers (`enable_all`; tokio
    /// panics without them), and the client lives as long as that.
    ///
    /// # Errors
    /// [`Error::NoRuntime`] outside of a tokio runtime; [`Error::Servers`] if the list cannot be read; [`Error::Unreachable`], with what went wrong where, if
    /// no server gave a session within the connect timeout.
    pub async fn connect(self) -> Result<Client, Error> {
        let connect_timeout = self.connect_timeout;
        let client = self.start()?;
        let mut states = client.states();
        let connected = states.wait_for(|state| matches!(state, SessionState::Connected(_)));
        match tokio::time::timeout(connect_timeout, connected).await.map(|found| found.is_some()) {
            Ok(true) => Ok(client),
            _ => Err(Error::Unreachable { within: connect_timeout, tried: client.inner().shared.attempts() }),
        }
    }

    fn start(self) -> Result<Client, Error> {
        let runtime = Handle::try_current().map_err(|_| Error::NoRuntime)?;
        let list = match &self.servers {
            Some(servers) => ConnectString::parse(servers)?,
            None if self.connector.is_some() => {
                ConnectString { servers: vec![IN_MEMORY.to_owned()], chroot: String::new() }
            }
            None => ConnectString::parse("127.0.0.1")?,
        };
        let below = parse_chroot(self.chroot.as_deref().unwrap_or_default())?;
        let config = session::SessionConfig {
            servers: list.servers.len(),
            session_timeout: Millis::from(self.session_timeout),
            connect_timeout: Millis::from(self.connect_timeout),
            max_pending: MAX_PENDING,
            seed: self.seed.unwrap_or_else(|| fastrand::u64(..)),
            attach: None,
        };
        let connector = self.connector.unwrap_or_else(|| Arc::new(TcpConnect));
        let chroot = Chroot::new(list.chroot + &below);
        let (driver, commands, shared) = Driver::new(config, list.servers.clone(), connector, chroot.clone());
        runtime.spawn(driver.run());
        Ok(Client::new(Inner {
            commands,
            shared,
            servers: list.servers,
            chroot,
            session_timeout: self.session_timeout,
            call_timeout: self.call_timeout.unwrap_or(self.session_timeout),
            max_request: self.max_request,
            max_pending: MAX_PENDING,
            next_call: AtomicU64::new(0),
        }))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("servers", &self.servers)
            .field("chroot", &self.chroot)
            .field("session_timeout", &self.session_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .finish_non_exhaustive()
    }
}
