//! The builder of a client.

use std::fmt;
use std::future::pending;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use common::{Clock, Millis};
use tokio::runtime::Handle;
use zk_wire::{Auth, DEFAULT_MAX_FRAME, Encode};

use crate::call::{Inner, identity, op_name};
use crate::chroot::Chroot;
use crate::client::Client;
use crate::command::Refusal;
use crate::connect::{Connect, TcpConnect};
use crate::driver::Driver;
use crate::error::Error;
use crate::secured::secured;
use crate::servers::{ConnectString, parse_chroot};
use crate::session::{self, SaslUser};
use crate::session_state::SessionState;
#[cfg(feature = "tls")]
use crate::tls::{Tls, TlsConnect};

/// Maximum number of calls without an answer.
const MAX_PENDING: usize = 64 * 1024;

/// Name of the only server if there is a connector and no list.
const IN_MEMORY: &str = "in-memory";

/// Configures a client; finish with [`Builder::connect`] or [`Builder::connect_in_background`]. Each option names its
/// default.
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
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
    session_timeout: Duration,
    connect_timeout: Duration,
    connect_rounds: Option<NonZeroU32>,
    call_timeout: Option<Duration>,
    answer_timeout: Option<Duration>,
    read_only: bool,
    max_request: usize,
    /// Schemes of the identities, and their auth packets.
    identities: Vec<(String, Bytes)>,
    sasl: Option<SaslUser>,
    seed: Option<u64>,
    clock: Option<Clock>,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            servers: None,
            chroot: None,
            connector: None,
            #[cfg(feature = "tls")]
            tls: None,
            session_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            connect_rounds: None,
            call_timeout: None,
            answer_timeout: None,
            read_only: false,
            max_request: DEFAULT_MAX_FRAME,
            identities: Vec::new(),
            sasl: None,
            seed: None,
            clock: None,
        }
    }

    /// Sets the servers, with a chroot if there is one: `host:port,host:port/chroot`. A name may have several addresses;
    /// each is tried on its own. With the feature `tls`, options behind it ask for TLS: see [`ConnectString::parse`]. The default is `127.0.0.1:2181`; with a connector it is the connector's only end.
    pub fn servers(mut self, servers: impl Into<String>) -> Self {
        self.servers = Some(servers.into());
        self
    }

    /// Sets the node that the client sees as `/`, below the chroot of the list of servers if there is one. It need not
    /// exist; [`Client::ensure_path`] creates it. The default is the root.
    pub fn chroot(mut self, chroot: impl Into<String>) -> Self {
        self.chroot = Some(chroot.into());
        self
    }

    /// Sets the way to open connections. The default is [`TcpConnect`].
    pub fn via(mut self, connector: impl Connect) -> Self {
        self.connector = Some(Arc::new(connector));
        self
    }

    /// Speaks TLS over each connection, those of [`Self::via`] included; in place of what the list of servers says of TLS. The
    /// default is no TLS, unless the list asks for it. With the feature `tls`.
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// use zk_client::{Client, Pem, TlsConfig};
    ///
    /// let tls = TlsConfig::new(Pem::file("ca.pem"))
    ///     .certificate(Pem::file("client.pem"), Pem::file("client.key")) // what `ssl.clientAuth=need`, the default, asks for
    ///     .load()?;
    /// let client = Client::builder().servers("zk1:2281,zk2:2281/services").tls(tls).connect().await?;
    /// // The same in the list of servers:
    /// let list = "zk1:2281,zk2:2281/services?ca=ca.pem&certfile=client.pem&keyfile=client.key";
    /// let client = Client::connect(list).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Sets the time after which servers end a session without a word from its client. The server may choose another time,
    /// within its limits. The default is 10 seconds.
    pub fn session_timeout(mut self, timeout: Duration) -> Self {
        self.session_timeout = timeout;
        self
    }

    /// Sets the time limit of [`Self::connect`]. The default is 10 seconds.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Lets [`Self::connect`] give up earlier, once every address of every server has failed this number of times. Where all
    /// refuse the connection, four rounds take about a second. The default is to go on until the connect timeout.
    pub fn connect_rounds(mut self, rounds: NonZeroU32) -> Self {
        self.connect_rounds = Some(rounds);
        self
    }

    /// Sets the time that a call waits for a connection. The default is the session timeout. For its answer it waits as long
    /// as the connection lives, see [`Self::answer_timeout`].
    pub fn call_timeout(mut self, timeout: Duration) -> Self {
        self.call_timeout = Some(timeout);
        self
    }

    /// Sets the time that a server has for the next answer, counted from the request or from the answer before it. After it
    /// the connection counts as lost, even if the server still answers pings: answers come in order, so those behind it
    /// will not come either. Its calls fail with [`Error::ConnectionLost`], and the session goes on at another connection.
    ///
    /// The default is the session timeout, as the server grants it. A server that stalls as a whole answers no pings either
    /// and is left after two thirds of that, so one that is left by this limit has lost the request or its answer. Java's
    /// client waits for ever unless `zookeeper.request.timeout` is set; `Duration::MAX` does the same here.
    pub fn answer_timeout(mut self, timeout: Duration) -> Self {
        self.answer_timeout = Some(timeout);
        self
    }

    /// Accepts servers in read-only mode: cut off from the majority of their ensemble, they answer reads, from data that may be
    /// old, to clients that accept it (`readonlymode.enabled=true` at the servers). The state is
    /// [`SessionState::ConnectedReadOnly`] then, and writes fail with `NOT_READ_ONLY`. The client asks the other servers at
    /// growing intervals, up to 10 seconds, and moves to one in read-write mode. The default is false.
    ///
    /// This is for programs that start, or start again, while the majority is away. A session that a read-only server has
    /// given ends with the move, and servers give one only with `localSessionsEnabled=true`. Where the client has a session
    /// of the ensemble, it keeps it: Apache ZooKeeper refuses such a session in read-only mode, so the client stays
    /// disconnected until the majority is back, or has ended the session.
    pub fn read_only(mut self, accept: bool) -> Self {
        self.read_only = accept;
        self
    }

    /// Sets the largest request that the servers accept (`jute.maxbuffer`). The default is 1 MiB less one byte, the maximum
    /// 2 GiB less one byte.
    pub fn max_request(mut self, bytes: usize) -> Self {
        self.max_request = bytes.min(i32::MAX as usize);
        self
    }

    /// Adds an identity, for example scheme `digest` with `user:password`. The client gives it on each connection, before
    /// anything else; several are given in their order. The default is none.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let zk = zk_mini::ZkMini::start().await?;
    /// use zk_client::{Acl, Client, CreateMode};
    ///
    /// let servers = zk.connect_string();
    /// let client = Client::builder().servers(servers).auth("digest", "app:secret").connect().await?;
    /// client.create_with_acl("/private", "", CreateMode::Persistent, &[Acl::creator_only()]).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn auth(mut self, scheme: &str, auth: impl Into<Bytes>) -> Self {
        let mut packet = BytesMut::new();
        identity(scheme, auth.into()).encode(&mut packet);
        self.identities.push((scheme.to_owned(), packet.freeze()));
        self
    }

    /// Logs in as a user of SASL, by the mechanism DIGEST-MD5, as Java's client does with a `DigestLoginModule`. The client does
    /// so on each connection, before anything else, and the server has to prove that it knows the password, too. ACLs name the
    /// user with the scheme `sasl`. The default is no login.
    ///
    /// The password does not cross the network, but somebody who listens can guess it offline, and nothing is encrypted. Kerberos
    /// is not supported.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let zk = zk_mini::ZkMini::builder().sasl_user("bob", "secret").start().await?;
    /// use zk_client::{Client, Error};
    ///
    /// let servers = zk.connect_string();
    /// let client = Client::builder().servers(&servers).sasl("bob", "secret").connect().await?;
    /// assert!(client.exists("/").await?.is_some());
    ///
    /// let refused = Client::builder().servers(&servers).sasl("bob", "guess").connect().await;
    /// assert!(matches!(refused, Err(Error::Login { .. })));
    /// # Ok(())
    /// # }
    /// ```
    pub fn sasl(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.sasl = Some(SaslUser { name: user.into(), password: password.into() });
        self
    }

    /// Seeds all random choices: the order of servers and addresses, and the pauses between attempts. The default is a
    /// random seed.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets the clock of all timeouts, pauses and pings, for a test that moves time: that of a server in the same process moves
    /// with the server's. While it is held, no limit passes: a connect to a server that refuses it waits until the clock is moved.
    /// The default is tokio's clock.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use zk_client::Client;
    /// use zk_mini::ZkMini;
    ///
    /// let zk = ZkMini::builder().manual_clock().start().await?;
    /// let client = Client::builder().servers(zk.connect_string()).clock(zk.clock()).connect().await?;
    /// let session = client.credentials();
    /// zk.advance(Duration::from_secs(3600)).await;
    /// assert!(client.exists("/").await?.is_some());
    /// assert_eq!(client.credentials(), session); // it has pinged all the time
    /// # Ok(())
    /// # }
    /// ```
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Connects; returns with a live session. Needs a tokio runtime with its I/O and time drivers (`enable_all`; tokio
    /// panics without them). The client ends with the runtime.
    ///
    /// # Errors
    /// [`Error::NoRuntime`] outside of a tokio runtime; [`Error::Servers`] if the list is invalid; [`Error::Tls`] if its files
    /// for TLS cannot be used; [`Error::Unreachable`] if no server gave a session within the connect timeout, or the rounds, with
    /// the last error of each server; [`Error::Server`] with `AUTH_FAILED` as soon as a server refuses an identity of
    /// [`Self::auth`], and [`Error::Login`] as soon as one refuses the login of [`Self::sasl`]. A server that refuses one later
    /// counts as one that cannot be reached.
    pub async fn connect(self) -> Result<Client, Error> {
        let (connect_timeout, rounds) = (self.connect_timeout, self.connect_rounds);
        let who = self.who();
        let client = self.start()?;
        let (clock, shared) = (client.clock(), &client.inner().shared);
        let began = clock.now();
        let mut states = client.states();
        let connected = states.wait_for(SessionState::is_connected);
        let given_up = async {
            match rounds {
                Some(rounds) => shared.wait_for_failed_rounds(rounds.get()).await,
                None => pending().await,
            }
        };
        let within = tokio::select! {
            biased;
            found = clock.timeout(connect_timeout, connected) => match found {
                Some(Some(_)) => return Ok(client),
                _ => connect_timeout,
            },
            refusal = shared.wait_for_refusal() => return Err(who.refused(refusal)),
            () = given_up => clock.now().since(began).into(),
        };
        Err(Error::Unreachable { within, tried: shared.attempts() })
    }

    /// Returns a client at once, in the state [`SessionState::Connecting`]: for a program that starts while the servers are
    /// away. It connects in the background, for as long as it takes; calls wait for the connection, up to the call timeout.
    /// A server that refuses an identity of [`Self::auth`], or the login of [`Self::sasl`], counts as one that cannot be reached, and the log has a warning.
    /// Needs a tokio runtime as [`Self::connect`] does. Nothing here waits: it is `async` for
    /// [`Wait`](crate::blocking::Wait), which has the runtime.
    ///
    /// # Errors
    /// [`Error::NoRuntime`] outside of a tokio runtime; [`Error::Servers`] if the list is invalid; [`Error::Tls`] if its files
    /// for TLS cannot be used.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), zk_client::Error> {
    /// use zk_client::{Client, SessionState};
    ///
    /// // Nothing listens at this port.
    /// let client = Client::builder().servers("127.0.0.1:1").connect_in_background().await?;
    /// assert_eq!(client.state(), SessionState::Connecting);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn connect_in_background(self) -> Result<Client, Error> {
        self.start()
    }

    fn start(self) -> Result<Client, Error> {
        let runtime = Handle::try_current().map_err(|_| Error::NoRuntime)?;
        let (session_timeout, max_request) = (self.session_timeout, self.max_request);
        let call_timeout = self.call_timeout.unwrap_or(session_timeout);
        let Setup { config, servers, connector, chroot, clock } = self.setup()?;
        let (driver, commands, shared) =
            Driver::new(config, servers.clone(), connector, chroot.clone(), clock.clone());
        runtime.spawn(clock.attend(driver.run()));
        Ok(Client::new(Inner {
            commands,
            shared,
            clock,
            runtime,
            servers,
            chroot,
            session_timeout,
            call_timeout,
            max_request,
            max_pending: MAX_PENDING,
            only_in: None,
        }))
    }

    /// Returns what a driver needs.
    pub(crate) fn setup(self) -> Result<Setup, Error> {
        let list = match &self.servers {
            Some(servers) => ConnectString::parse(servers)?,
            None if self.connector.is_some() => {
                ConnectString { servers: vec![IN_MEMORY.to_owned()], chroot: String::new(), tls: None }
            }
            None => ConnectString::parse("127.0.0.1")?,
        };
        let below = parse_chroot(self.chroot.as_deref().unwrap_or_default())?;
        let config = session::SessionConfig {
            servers: list.servers.len(),
            session_timeout: Millis::from(self.session_timeout),
            connect_timeout: Millis::from(self.connect_timeout),
            read_only: self.read_only,
            answer_timeout: self.answer_timeout.map(Millis::from),
            max_pending: MAX_PENDING,
            identities: self.identities.into_iter().map(|(_, packet)| packet).collect(),
            sasl: self.sasl,
            seed: self.seed.unwrap_or_else(|| fastrand::u64(..)),
            attach: None,
        };
        let connector = self.connector.unwrap_or_else(|| Arc::new(TcpConnect));
        #[cfg(feature = "tls")]
        let connector = match self.tls {
            Some(tls) => Arc::new(TlsConnect::over(connector, tls)),
            None => secured(connector, list.tls.as_ref())?,
        };
        #[cfg(not(feature = "tls"))]
        let connector = secured(connector, list.tls.as_ref())?;
        let chroot = Chroot::new(list.chroot + &below);
        let clock = self.clock.unwrap_or_else(Clock::start);
        Ok(Setup { config, servers: list.servers, connector, chroot, clock })
    }

    /// Returns the names of those who log in.
    pub(crate) fn who(&self) -> Who {
        Who {
            schemes: self.identities.iter().map(|(scheme, _)| scheme.clone()).collect(),
            user: self.sasl.as_ref().map(|user| user.name.clone()).unwrap_or_default(),
        }
    }
}

/// Parts of a driver.
pub(crate) struct Setup {
    pub(crate) config: session::SessionConfig,
    pub(crate) servers: Vec<String>,
    pub(crate) connector: Arc<dyn Connect>,
    pub(crate) chroot: Chroot,
    pub(crate) clock: Clock,
}

/// Names of those who log in, for errors.
pub(crate) struct Who {
    /// Schemes of the identities.
    schemes: Vec<String>,
    /// User of SASL.
    user: String,
}

impl Who {
    /// Returns the error of a refusal.
    pub(crate) fn refused(self, refusal: Refusal) -> Error {
        let Self { schemes, user } = self;
        match refusal {
            Refusal::Identity { index, code } => {
                let path = schemes.get(index).cloned().unwrap_or_default();
                Error::Server { op: op_name::<Auth>(), path, code }
            }
            Refusal::Login(reason) => Error::Login { user, reason },
        }
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
