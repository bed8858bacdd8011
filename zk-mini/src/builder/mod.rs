//! Configuring and starting a server.

mod access;
mod disk;
mod limits;
mod start;
#[cfg(feature = "tls")]
mod tls;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::core::{Compat, Config, QuorumAddr};
use crate::handle::Handle;
use crate::report::four_letter::Whitelist;
use crate::shell::engine::{Engine, HttpHandler};
use crate::shell::http::HttpConnection;
use crate::shell::limits::Limits;
#[cfg(feature = "tls")]
use crate::shell::security::TlsSetup;
use crate::shell::state::AuditSink;
use crate::storage::Settings;
#[cfg(feature = "tree-files")]
use crate::tree_file::TreeFile;

/// Number of requests, and of other entries, that the history keeps unless set.
const HISTORY: usize = 1_000;

/// Configures a server; finish with [`start`](Self::start). The defaults are Apache ZooKeeper's, on a free port of
/// 127.0.0.1.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), zk_mini::Error> {
/// use std::time::Duration;
/// use zk_mini::ZkMini;
///
/// // No socket, and time that moves only when told to: a test of session expiry takes no time.
/// let zk = ZkMini::builder().in_memory().seed(7).manual_clock().start().await?;
/// let stream = zk.connect();
/// zk.advance(Duration::from_secs(30)).await;
/// # drop(stream);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    /// Addresses to listen on; empty for a server in memory.
    listen: Vec<SocketAddr>,
    /// Addresses of each server, if they are given one by one.
    each: Vec<Vec<SocketAddr>>,
    /// Addresses for TLS only.
    listen_tls: Vec<SocketAddr>,
    /// Addresses for TLS only of each server, if they are given one by one.
    each_tls: Vec<Vec<SocketAddr>>,
    #[cfg(feature = "tls")]
    tls: Option<TlsSetup>,
    backlog: i32,
    servers: usize,
    /// The observers are among these servers.
    counts_observers: bool,
    observers: usize,
    /// Quorum addresses, by the number of the server.
    quorum_addrs: BTreeMap<usize, QuorumAddr>,
    time: Time,
    seed: Option<u64>,
    core: Config,
    limits: Limits,
    words: Whitelist,
    data_dir: Option<PathBuf>,
    private_sessions: bool,
    sasl_scheme: Option<bool>,
    audit: Option<AuditSink>,
    prints_history: bool,
    storage: Settings,
    http: Option<HttpHandler>,
    #[cfg(feature = "tree-files")]
    tree: Option<TreeFile>,
}

/// Clock of a server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Time {
    Real,
    /// It moves by hand only.
    Manual,
    /// It moves with tokio's paused clock.
    Auto,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))],
            each: Vec::new(),
            listen_tls: Vec::new(),
            each_tls: Vec::new(),
            #[cfg(feature = "tls")]
            tls: None,
            backlog: -1,
            servers: 1,
            counts_observers: false,
            observers: 0,
            quorum_addrs: BTreeMap::new(),
            time: Time::Real,
            seed: None,
            core: Config { history: HISTORY, ..Config::default() },
            limits: Limits::default(),
            words: Whitelist::default(),
            data_dir: None,
            private_sessions: false,
            sasl_scheme: None,
            audit: None,
            prints_history: true,
            storage: Settings::default(),
            http: None,
            #[cfg(feature = "tree-files")]
            tree: None,
        }
    }

    /// Listens on this address only; 127.0.0.1 unless set. Port 0, the default, lets the system choose a port: see
    /// [`Handle::addr`](crate::Handle::addr).
    pub fn listen(mut self, addr: impl Into<SocketAddr>) -> Self {
        self.listen = vec![addr.into()];
        self
    }

    /// Adds an address to listen on. Port 0 gives it the port of the first address, which is chosen to be free on all. An IPv6 address beside others does not take connections over IPv4: add an IPv4 address for these.
    pub fn also_listen(mut self, addr: impl Into<SocketAddr>) -> Self {
        self.listen.push(addr.into());
        self
    }

    /// Sets the number of servers; 1 unless set, 99 at most. Several are a simulated ensemble in this process, over one
    /// history, that tests can break: see [`Server`](crate::Server). It is not replicated to anywhere, and no safer than one
    /// server.
    ///
    /// The first one listens on the addresses of [`listen`](Self::listen) and [`also_listen`](Self::also_listen), the others on
    /// the next ports, or, for port 0, on free ports of their own.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use zk_mini::ZkMini;
    ///
    /// let zk = ZkMini::builder().servers(3).start().await?;
    /// assert_eq!(zk.connect_string().split(',').count(), 3);
    /// zk.server(1)?.stop().await; // the others go on
    /// # Ok(())
    /// # }
    /// ```
    pub fn servers(mut self, count: usize) -> Self {
        (self.servers, self.counts_observers) = (count, false);
        self.each.clear();
        self
    }

    /// Sets `localSessionsEnabled`: the servers of an ensemble give sessions of their own. Such a session is no transaction, and
    /// cannot have ephemeral nodes: a create of one is refused with "local sessions cannot have ephemeral nodes", code -120. At
    /// another server, and after an election, it has expired. Off unless set; on a single server it has no effect, as with
    /// ZooKeeper.
    pub fn local_sessions(mut self, enabled: bool) -> Self {
        self.core.local_sessions = enabled;
        self
    }

    /// Sets `localSessionsUpgradingEnabled`: a [local session](Self::local_sessions) becomes one of the whole ensemble when it
    /// creates its first ephemeral node, under the same id. Off unless set.
    pub fn local_session_upgrades(mut self, enabled: bool) -> Self {
        self.core.local_session_upgrades = enabled;
        self
    }

    /// Adds observers to the [`servers`](Self::servers) of an ensemble; none unless set. They have the numbers and the ports
    /// behind those of the others. An observer serves clients as the others do. It has no vote: it is no part of a majority,
    /// and never leads.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use zk_mini::{Role, ServerState, ZkMini};
    ///
    /// let zk = ZkMini::builder().servers(3).observers(2).start().await?;
    /// assert_eq!(zk.server(4)?.info().role, Role::Observer);
    /// zk.server(1)?.stop().await;
    /// assert_eq!(zk.server(4)?.info().state, ServerState::Running);
    /// zk.server(2)?.stop().await; // one of three votes is left
    /// assert_eq!(zk.server(4)?.info().state, ServerState::ReadOnly);
    /// # Ok(())
    /// # }
    /// ```
    pub fn observers(mut self, count: usize) -> Self {
        self.observers = count;
        self
    }

    /// Sets the number of [`servers`](Self::servers), and the addresses that each listens on: those of
    /// [`observers`](Self::observers) are the last ones. Port 0 is a free one, the same on all addresses of a server.
    pub fn servers_at(mut self, addrs: impl IntoIterator<Item = Vec<SocketAddr>>) -> Self {
        self.each = addrs.into_iter().collect();
        (self.servers, self.counts_observers) = (self.each.len(), true);
        self
    }

    /// Sets the address that a server of an ensemble has for the others in `/zookeeper/config`, as `server.N` of a `zoo.cfg`;
    /// 127.0.0.1 unless set, with port 2887+N for transactions and 3887+N for elections. Nothing listens there. An address for
    /// clients, behind a semicolon, is shown if its port is the one on which the server listens. A client that sends a whole
    /// configuration by [`reconfig`](Self::reconfig_enabled) changes nothing if it names the same addresses; if it names another
    /// one for the leader, another server leads.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use zk_mini::ZkMini;
    ///
    /// let zk = ZkMini::builder().servers(2).quorum_addr(1, "zk1:2888:3888".parse()?).start().await?;
    /// let config = zk.node("/zookeeper/config").and_then(|node| node.data).unwrap_or_default();
    /// assert!(config.starts_with(b"server.1=zk1:2888:3888:participant;"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn quorum_addr(mut self, server: usize, addr: QuorumAddr) -> Self {
        self.quorum_addrs.insert(server, addr);
        self
    }

    /// Sets `clientPortListenBacklog`, the number of connections that may wait to be accepted; -1 unless set, which
    /// means 4,096. The system has a limit of its own.
    pub fn listen_backlog(mut self, connections: i32) -> Self {
        self.backlog = connections;
        self
    }

    /// Opens no port: the only connections are those of [`Handle::connect`](crate::Handle::connect),
    /// [`Handle::connector`](crate::Handle::connector) and [`Handle::serve_stream`](crate::Handle::serve_stream).
    pub fn in_memory(mut self) -> Self {
        self.listen.clear();
        self.each.clear();
        self.listen_tls.clear();
        self.each_tls.clear();
        self
    }

    /// Derives session ids and passwords from this number instead of random bytes. With [`manual_clock`](Self::manual_clock),
    /// the same requests then get the same replies, to the byte, if the [`data_dir`](Self::data_dir) has the same
    /// content. The ids depend on that content, so that no later server on the directory gives the ids of an earlier
    /// one.
    ///
    /// For tests only: a client that knows or guesses the seed knows every password. In memory such a server begins
    /// at zxid 0; see the [crate's documentation](crate#first-zxid).
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets the number of requests, and of other entries, that the [history](crate::history) keeps; 1,000 unless set,
    /// 2,097,152 at most. Each takes up to 1 KB.
    pub fn history(mut self, entries: usize) -> Self {
        self.core.history = entries;
        self
    }

    /// Records no [history](crate::history).
    pub fn without_history(self) -> Self {
        self.history(0)
    }

    /// Prints the last entries of the [history](crate::history) to the standard error if a panic drops the server, as when
    /// a test fails; on unless set. Test harnesses show it with the failure.
    pub fn print_history_on_panic(mut self, prints: bool) -> Self {
        self.prints_history = prints;
        self
    }

    /// Stops the clock: time moves only by [`Handle::advance`](crate::Handle::advance), until
    /// [`Handle::release_clock`](crate::Handle::release_clock). It begins at 2020-01-01, midnight UTC; zxids begin at 0.
    pub fn manual_clock(mut self) -> Self {
        self.time = Time::Manual;
        self
    }

    /// Lets time move with tokio's paused clock, which a test moves, or which moves by itself when all tasks wait. As
    /// with [`manual_clock`](Self::manual_clock), it begins at 2020-01-01, midnight UTC, and zxids begin at 0: with a
    /// [`seed`](Self::seed), runs repeat to the byte. [`Handle::hold_clock`](crate::Handle::hold_clock) works, too.
    ///
    /// For a server [`in_memory`](Self::in_memory) and streams that share its runtime: while tokio waits for a socket, its
    /// paused clock runs ahead. Of this and [`manual_clock`](Self::manual_clock) the later one counts.
    ///
    /// ```
    /// use std::time::Duration;
    /// use zk_mini::ZkMini;
    ///
    /// # fn main() -> Result<(), zk_mini::Error> {
    /// # let paused = || {
    /// #     let mut runtime = tokio::runtime::Builder::new_current_thread();
    /// #     runtime.enable_time().start_paused(true).build().unwrap()
    /// # };
    /// // #[tokio::test(start_paused = true)]
    /// # paused().block_on(
    /// async {
    ///     let zk = ZkMini::builder().in_memory().auto_advance().start().await?;
    ///     let began = zk.now();
    ///     tokio::time::sleep(Duration::from_secs(60)).await; // takes no time
    ///     assert_eq!(zk.now().mono.0 - began.mono.0, 60_000);
    ///     Ok(())
    /// }
    /// # )
    /// # }
    /// ```
    pub fn auto_advance(mut self) -> Self {
        self.time = Time::Auto;
        self
    }

    /// Sets `tickTime`, the unit of session expiry; 2 s unless set.
    pub fn tick(mut self, tick: Duration) -> Self {
        self.core.tick = tick.into();
        self
    }

    /// Sets `minSessionTimeout`, the shortest session timeout that a client can get; two ticks unless set.
    pub fn min_session_timeout(mut self, timeout: Duration) -> Self {
        self.core.min_session_timeout = Some(timeout.into());
        self
    }

    /// Sets `maxSessionTimeout`, the longest session timeout that a client can get; twenty ticks unless set.
    pub fn max_session_timeout(mut self, timeout: Duration) -> Self {
        self.core.max_session_timeout = Some(timeout.into());
        self
    }

    /// Sets the release line of Apache ZooKeeper to imitate where the lines differ; 3.9 unless set.
    pub fn compat(mut self, compat: Compat) -> Self {
        self.core.compat = compat;
        self
    }

    /// Sets `extendedTypesEnabled`, which allows nodes with a time to live; off unless set, as in ZooKeeper.
    pub fn extended_types(mut self, enabled: bool) -> Self {
        self.core.extended_types = enabled;
        self
    }

    /// Sets `enforceQuota`: a write over a quota is refused. Unless set, quotas only count.
    pub fn enforce_quota(mut self, enforce: bool) -> Self {
        self.core.enforce_quota = enforce;
        self
    }

    /// Sets `reconfigEnabled`: clients that may write `/zookeeper/config` can change the members of an ensemble of
    /// [`servers`](Self::servers) by `reconfig`. A single server answers "unimplemented" then, as a standalone ZooKeeper; unless
    /// set, the answer is "reconfig is disabled".
    ///
    /// Servers become observers, lose and regain their votes, and a leader that loses its vote appoints another one, as in a
    /// real ensemble. A server that is no member goes on without a vote: [stop](crate::Server::stop) it to end it. A member
    /// with a new number is a new server, which has the whole history at once. It listens on the port that the request names
    /// for clients, on a loopback address that it names, or else on the address of the first server; port 0 is a free one. If
    /// it cannot have the port, it is stopped. An existing server moves to another port that a request names. Ports for other servers are only names. An
    /// ensemble has had at most 99 servers; [`Handle::reset_all`](crate::Handle::reset_all) brings back those that it began
    /// with.
    ///
    /// Not simulated: votes with groups and weights: a request for them is answered "unimplemented". No reconfiguration is ever in progress.
    pub fn reconfig_enabled(mut self, enabled: bool) -> Self {
        self.core.reconfig_enabled = enabled;
        self
    }

    /// Sets `4lw.commands.whitelist`, the four-letter words that are answered: a list with commas, or `*` for all,
    /// which is the default. `srvr` is always answered. A name that is none is logged, and passed over.
    pub fn four_letter_words(mut self, words: &str) -> Self {
        for word in Whitelist::unknown(words) {
            log!(WARN, word, "the server knows no such four-letter word: it is not answered");
        }
        self.words = Whitelist::listed(words);
        self
    }

    /// Gives connections that begin with an HTTP request to `handler`, with the bytes already read, so that ZooKeeper's
    /// protocol and HTTP share a port. Unless set, they are closed, as ZooKeeper does. These connections are not among the server's: they
    /// are accepted while it is frozen, or has the maximum number of connections, and neither counted nor listed.
    ///
    /// In an ensemble the handle shows what the server has that was asked: its nodes, connections and figures.
    ///
    /// The function is called on the server's runtime, and must not block: it hands the connection to a task. The crate
    /// `zk-mini-http` has one that serves control, metrics and a page.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use tokio::io::{AsyncReadExt, AsyncWriteExt};
    /// use zk_mini::ZkMini;
    ///
    /// let zk = ZkMini::builder().on_http(|server, mut connection| {
    ///     let nodes = server.status().nodes;
    ///     tokio::spawn(async move {
    ///         let answer = format!("HTTP/1.0 200 OK\r\n\r\n{nodes} nodes");
    ///         connection.stream.write_all(answer.as_bytes()).await
    ///     });
    /// });
    /// let zk = zk.in_memory().start().await?;
    /// let mut client = zk.connect();
    /// client.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
    /// let mut answer = String::new();
    /// client.read_to_string(&mut answer).await?;
    /// assert!(answer.ends_with(" nodes"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_http(mut self, handler: impl Fn(Handle, HttpConnection) + Send + Sync + 'static) -> Self {
        let handler = move |engine: &Arc<Engine>, connection: HttpConnection| {
            let server = engine.server_at(connection.listener);
            handler(Handle::new(Arc::clone(engine)).showing(server), connection);
        };
        self.http = Some(HttpHandler(Arc::new(handler)));
        self
    }

    /// Sets `znode.container.checkIntervalMs`, the time between two checks of containers and nodes with a time to
    /// live; 60 s unless set.
    pub fn container_check_interval(mut self, interval: Duration) -> Self {
        self.core.container_check_interval = interval.into();
        self
    }

    /// Writes the nodes of a file into the tree before the first client is served, as [`Handle::load`] does: all of them,
    /// or the server does not start. In a [`data_dir`](Self::data_dir) that has nodes already, those of the file get its
    /// data and ACLs, and the others stay. With the feature `tree-files`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use zk_mini::{TreeFile, ZkMini};
    ///
    /// let file = TreeFile::parse("/config/limit: {data: '10'}")?;
    /// let zk = ZkMini::builder().load(&file).start().await?;
    /// assert_eq!(zk.get("/config/limit").unwrap().0, "10");
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "tree-files")]
    pub fn load(mut self, tree: &TreeFile) -> Self {
        self.tree = Some(tree.clone());
        self
    }
}
