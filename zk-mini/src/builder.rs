//! Configuring and starting a server.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use zk_wire::{Millis, Zxid};

use crate::core::{Compat, Config, Core, SessionSecret};
use crate::error::Error;
use crate::handle::Handle;
use crate::report::figures::Configuration;
use crate::report::four_letter::Whitelist;
use crate::server::ZkMini;
use crate::shell::clock::{Clock, zxid_of_this_start};
use crate::shell::engine::{Engine, HttpHandler, Setup};
use crate::shell::http::HttpConnection;
use crate::shell::journal::Journal;
use crate::shell::limits::{LONGEST_FRAME, Limits};
use crate::shell::listener::Listener;
use crate::shell::runtime::Runtime;
use crate::storage::{Device, Settings, SimulatedDisk, Store, SyncMode};
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
    backlog: i32,
    time: Time,
    seed: Option<u64>,
    core: Config,
    limits: Limits,
    words: Whitelist,
    data_dir: Option<PathBuf>,
    private_sessions: bool,
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
            backlog: -1,
            time: Time::Real,
            seed: None,
            core: Config { history: HISTORY, ..Config::default() },
            limits: Limits::default(),
            words: Whitelist::default(),
            data_dir: None,
            private_sessions: false,
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

    /// Sets `maxClientCnxns`, the maximum number of TCP connections from one address; 60 unless set, and 0 or less is
    /// no limit. Further connections are closed without a word. In-memory connections are not counted.
    pub fn max_client_connections(mut self, max: i32) -> Self {
        self.limits.max_client_connections = max;
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

    /// Sets `skipACL`: access control lists are stored but not checked.
    pub fn skip_acl(mut self, skip: bool) -> Self {
        self.core.skip_acl = skip;
        self
    }

    /// Sets `DigestAuthenticationProvider.superDigest`, the digest id that has all permissions, such as
    /// `super:D/InIHSb7yEEbrWz8b9l71RjZJU=` for the password `test`. Unless set, no id has them.
    pub fn super_digest(mut self, id: impl Into<String>) -> Self {
        self.core.super_digest = Some(id.into());
        self
    }

    /// Sets `enforceQuota`: a write over a quota is refused. Unless set, quotas only count.
    pub fn enforce_quota(mut self, enforce: bool) -> Self {
        self.core.enforce_quota = enforce;
        self
    }

    /// Sets `reconfigEnabled`: a `reconfig` gets the answer of a standalone server that allows it, "unimplemented";
    /// unless set, "reconfig is disabled".
    pub fn reconfig_enabled(mut self, enabled: bool) -> Self {
        self.core.reconfig_enabled = enabled;
        self
    }

    /// Sets `jute.maxbuffer`, the maximum length of a request in bytes; 1,048,575 unless set, and 512 MiB at most. A
    /// longer request closes its connection. Replies may be longer.
    pub fn jute_max_buffer(mut self, bytes: usize) -> Self {
        self.limits.max_frame = bytes.min(LONGEST_FRAME);
        self
    }

    /// Sets `jute.maxbuffer.extrasize`, the number of bytes by which a transaction may be longer than
    /// [`jute_max_buffer`](Self::jute_max_buffer); the same number unless set, and 1,024 at least. A write with a
    /// longer transaction, such as a multi with many long ACLs, is refused with "cannot be read", code -5. Apache
    /// ZooKeeper does not start on a log with a longer record: to take the data over, it needs the same two settings.
    pub fn jute_max_buffer_extra_size(mut self, bytes: usize) -> Self {
        self.limits.extra_frame = Some(bytes);
        self
    }

    /// Sets the maximum length of a reply in bytes; 2 GiB unless set, the maximum of the protocol. A request with a
    /// longer reply, such as a list of very many children, fails with "cannot be read", code -5.
    pub fn max_reply(mut self, bytes: usize) -> Self {
        self.core.max_reply = bytes;
        self
    }

    /// Sets the maximum number of identities that a connection may add with `auth`; 100 unless set. One more is
    /// refused with "authentication failed", which closes the connection, as every refused identity does. The session
    /// lives on.
    pub fn max_auth_ids(mut self, count: usize) -> Self {
        self.core.max_auth_ids = count;
        self
    }

    /// Sets the maximum number of bytes of all identities of a connection, names and hashes; 16 KiB unless set. More
    /// is refused as by [`max_auth_ids`](Self::max_auth_ids).
    pub fn max_auth_id_bytes(mut self, bytes: usize) -> Self {
        self.core.max_auth_id_bytes = bytes;
        self
    }

    /// Sets the maximum number of entries of an access control list, counted with `auth` replaced by the identities
    /// that it stands for; 32,768 unless set. At most [`max_auth_ids`](Self::max_auth_ids) of them may come from
    /// `auth`, even from several `auth` with different permissions. A longer list is refused with "invalid ACL".
    /// Lists in a data directory may be longer.
    pub fn max_acl_entries(mut self, count: usize) -> Self {
        self.core.max_acl_entries = count;
        self
    }

    /// Sets the maximum number of watches of a connection; 2,000,000 unless set. A path counts once for the events of
    /// its node, and once for those of its children; a persistent watch counts for both. A request for one more fails
    /// with "quota exceeded"; a `setWatches`, after a reconnect, closes the connection.
    pub fn max_watches(mut self, count: usize) -> Self {
        self.core.max_watches = count;
        self
    }

    /// Sets the maximum number of bytes of the paths of all watches of a connection; 256 MiB unless set. More is
    /// refused as by [`max_watches`](Self::max_watches).
    pub fn max_watch_bytes(mut self, bytes: usize) -> Self {
        self.core.max_watch_bytes = bytes;
        self
    }

    /// Sets `4lw.commands.whitelist`, the four-letter words that are answered: a list with commas, or `*` for all,
    /// which is the default. `srvr` is always answered.
    pub fn four_letter_words(mut self, words: &str) -> Self {
        self.words = Whitelist::listed(words);
        self
    }

    /// Gives connections that begin with an HTTP request to `handler`, with the bytes already read, so that ZooKeeper's
    /// protocol and HTTP share a port. Unless set, they are closed, as ZooKeeper does. These connections are not among the server's: they
    /// are accepted while it is frozen, or has the maximum number of connections, and neither counted nor listed.
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
        let handler = move |engine: &Arc<Engine>, connection| {
            handler(Handle { engine: Arc::clone(engine) }, connection);
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

    /// Sets the maximum number of bytes that wait for a peer that does not read; 64 MiB unless set. From a quarter of
    /// it on, no more requests are read from that connection. Above it, which only watch events can reach, the
    /// connection is closed. A `multiRead` whose reply would take more than three quarters of it fails.
    pub fn max_backlog(mut self, bytes: usize) -> Self {
        self.limits.max_backlog = bytes;
        self
    }

    /// Sets the time for which the requests of one connection are handled before other connections have a turn; 2 ms
    /// unless set. One request at least is handled, however long it takes. While the clock is held or tokio's, this time
    /// is estimated from the number of bytes, so that runs repeat.
    pub fn longest_turn(mut self, time: Duration) -> Self {
        self.limits.time_slice = time;
        self
    }

    /// Sets `dataDir`: the state is kept in this directory, which is made if it is missing. A server continues from
    /// its content. The format is Apache ZooKeeper's: either server can take the directory over from the other.
    /// Unless set, everything lives in memory. See [`storage`](crate::storage) for directories that are refused.
    pub fn data_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(dir.into());
        self
    }

    /// Makes session passwords with a secret that is kept in the [`data_dir`](Self::data_dir); off unless set. Use it
    /// if the directory is never handed over to Apache ZooKeeper. Without it, passwords are made in ZooKeeper's way, and a
    /// client that guesses a session's id can take the session over.
    ///
    /// The secret is the file `zk-mini.secret`, made at the first such start and readable by its owner only: it opens
    /// every session. If this setting changes or the file is lost, all sessions end: clients are told that they have
    /// expired, and their ephemeral nodes go after the session timeout. Without a `data_dir` this has no effect: a
    /// server in memory always has a secret of its own.
    pub fn private_sessions(mut self, private: bool) -> Self {
        self.private_sessions = private;
        self
    }

    /// Sets `dataLogDir`, the directory of the transaction logs, if they are not beside the snapshots in
    /// [`data_dir`](Self::data_dir). If there are data already, move the logs there first: otherwise the server does
    /// not start.
    pub fn data_log_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.storage.log_dir = Some(dir.into());
        self
    }

    /// Sets the time at which a write is durable, and is answered; [`SyncMode::Group`] unless set. Without a
    /// [`data_dir`](Self::data_dir) it has no effect.
    pub fn sync(mut self, sync: SyncMode) -> Self {
        self.storage.sync = sync;
        self
    }

    /// Sets `autopurge.snapRetainCount`, the number of snapshots to keep, with the logs behind them. Older ones are
    /// deleted when a new one has been written. Unless set, all are kept.
    pub fn retain_snapshots(mut self, count: NonZeroUsize) -> Self {
        self.storage.retain = Some(count.get());
        self
    }

    /// Sets `snapCount`, the number of transactions between two snapshots, and in one log; 100,000 unless set.
    pub fn snap_count(mut self, transactions: NonZeroU64) -> Self {
        self.storage.snap_count = transactions.get();
        self
    }

    /// Sets the number of nodes of a snapshot that are copied in one step, during which all clients wait; 1,000
    /// unless set. The server serves between the steps.
    pub fn snap_step(mut self, nodes: NonZeroUsize) -> Self {
        self.storage.snap_step = nodes.get();
        self
    }

    /// Sets `preAllocSize`, the number of bytes by which a log grows; 64 MiB unless set. They are not written until
    /// they are used.
    pub fn pre_alloc_size(mut self, bytes: NonZeroU64) -> Self {
        self.storage.pre_alloc_size = bytes.get();
        self
    }

    /// Keeps the [`data_dir`](Self::data_dir) on this simulated disk, which fails when a test says so.
    pub fn disk(mut self, disk: &SimulatedDisk) -> Self {
        self.storage.device = Device::Simulated(disk.clone());
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

    /// Starts the server. When this returns, the server serves.
    ///
    /// The caller's runtime needs no drivers: a server that listens runs on a thread that all servers of the process
    /// share; one that is [`in_memory`](Self::in_memory) runs on the caller's tokio runtime, if there is one. If
    /// tokio's clock is paused at the start, everything runs on the caller's runtime and by that clock.
    ///
    /// # Errors
    /// [`Error`] if the address cannot be listened on, if the settings contradict each other, or if the data
    /// directory cannot be used.
    pub async fn start(mut self) -> Result<ZkMini, Error> {
        let runtime = Runtime::choose(!self.listen.is_empty())?;
        let secret = self.new_secret()?;
        let clock = match self.time {
            Time::Real => Clock::real(),
            Time::Manual => Clock::manual(),
            Time::Auto => Clock::auto().ok_or(Error::TimeNotPaused)?,
        };
        let repeats = self.seed.is_some() || self.time != Time::Real;
        self.core.seed = self.seed.unwrap_or_else(|| fastrand::u64(..));
        self.core.max_multi_read = self.limits.max_multi_read();
        self.core.max_held = self.limits.max_backlog;
        self.core.max_transaction = self.limits.max_transaction();
        let (compat, tick) = (self.core.compat, self.core.tick);
        if tick == Millis(0) {
            return Err(Error::ZeroTick);
        }
        let (min, max) = self.core.session_timeout_bounds();
        if min > max {
            return Err(Error::SessionTimeouts { min, max });
        }
        let listener = match &self.listen[..] {
            [] => None,
            addrs => Some(Arc::new(runtime.with_drivers(|| Listener::bind(addrs, self.backlog))?)),
        };
        let (core, store) = match self.data_dir {
            Some(dir) => {
                let config = Config { digests: true, ..self.core };
                self.storage.new_secret = self.private_sessions.then_some(secret);
                let (core, store) = Store::open(&dir, self.storage, config, clock.now())?;
                (core, Some(store))
            }
            None => {
                let begin_after = if repeats { Zxid(0) } else { zxid_of_this_start() };
                let session_secret = Some(secret);
                (Core::new(Config { transactions: false, begin_after, session_secret, ..self.core }), None)
            }
        };
        let configuration = Configuration {
            compat,
            tick,
            session_timeouts: (min, max),
            listens: listener.as_ref().map(|listener| listener.addrs[0]),
            backlog: self.backlog,
            max_client_connections: self.limits.max_client_connections,
        };
        let files = store.as_ref().map(Store::files);
        match &listener {
            Some(listener) => log!(INFO, addrs = ?listener.addrs, "serving"),
            None => log!(INFO, "serving in this process only"),
        }
        if store.is_none() {
            log!(INFO, "in memory: nothing is kept");
        }
        let (configuration, words, http) = (configuration.into(), self.words, self.http);
        let setup = Setup { configuration, words, listener, http, files };
        let journal = store.as_ref().map(|_| Journal::default());
        let engine = Arc::new(Engine::new(core, journal, setup, clock, self.limits, runtime));
        // No connection is accepted before the server runs. Nothing becomes durable before, either.
        #[cfg(feature = "tree-files")]
        let loaded = self.tree.map(|tree| tree.write_first(&engine)).transpose()?.flatten();
        let zk = ZkMini::run(engine, store, self.prints_history);
        #[cfg(feature = "tree-files")]
        if let Some(loaded) = loaded {
            loaded.until_durable(&zk).await?;
        }
        Ok(zk)
    }

    /// Makes a secret: from the seed if there is one, otherwise from random bytes.
    fn new_secret(&self) -> Result<SessionSecret, Error> {
        if let Some(seed) = self.seed {
            return Ok(SessionSecret::from_seed(seed));
        }
        let mut bytes = [0; SessionSecret::LEN];
        getrandom::fill(&mut bytes).map_err(|error| Error::NoRandomness(error.into()))?;
        Ok(SessionSecret::new(bytes))
    }
}
