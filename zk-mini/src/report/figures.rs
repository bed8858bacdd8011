//! Figures of a server at one moment, as values. Whatever shows them, shows these: the four-letter words, and programs that
//! take them by [`Handle::figures`](crate::Handle::figures) and the methods beside it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use zk_wire::{ByteString, Millis, SessionId, UnixMillis, Zxid};

use crate::core::{Compat, ConnId, Now, SessionInfo};

pub use crate::core::{
    EnsembleFigures, LeaderFigures, Membership, Mode, ProposalSizes, Totals, WatchersTold,
};
pub use crate::report::catalogue::{FigureValue, NamedFigure};
pub use crate::report::stats::{ConnectionStats, FrameLengths, Latency, ServerStats};

/// Figures of a server, all from one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Figures {
    /// Settings.
    pub configuration: Configuration,
    /// Figures of the whole server.
    pub server: ServerFigures,
    /// Sizes of reads and writes below each child of the root, sorted by its name: the first thousand.
    pub namespaces: Vec<NamespaceFigures>,
    /// Numbers of watches on the data of nodes.
    pub data_watches: WatchCounts,
    /// Trace mask that the word `stmk` sets. It has no other effect.
    pub trace_mask: i64,
    /// Figures of the history.
    pub history: HistoryFigures,
    /// Figures of the fault rules.
    pub faults: FaultFigures,
}

/// Settings of a server, which do not change while it runs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Configuration {
    /// Release line of ZooKeeper that it is like.
    pub compat: Compat,
    /// Tick.
    pub tick: Millis,
    /// Shortest and longest session timeout that a client can get.
    pub session_timeouts: (Millis, Millis),
    /// First address that it listens on.
    pub listens: Option<SocketAddr>,
    /// First address that it listens on for TLS only.
    pub listens_tls: Option<SocketAddr>,
    /// `clientPortListenBacklog`, as it was set.
    pub backlog: i32,
    /// `maxClientCnxns`, as it was set.
    pub max_client_connections: i32,
    /// Number of the server in its ensemble; 0 for a single server, and for a whole ensemble.
    pub server_id: usize,
}

impl Configuration {
    /// Returns the version of ZooKeeper that the server is like, and its own, in ZooKeeper's form.
    #[must_use]
    pub fn version(&self) -> String {
        let like = self.compat.release();
        // A build has no date, so that the same source gives the same build.
        format!("{like}-zk-mini-{}, built on 1970-01-01 00:00 UTC", env!("CARGO_PKG_VERSION"))
    }
}

/// Figures of the whole server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerFigures {
    /// Mode, as ZooKeeper names it.
    pub mode: Mode,
    /// Time since the start.
    pub uptime: Millis,
    /// Zxid of the last transaction.
    pub last_zxid: Zxid,
    /// Number of nodes, with the system's nodes.
    pub nodes: usize,
    /// Number of ephemeral nodes.
    pub ephemeral_nodes: usize,
    /// Bytes of all paths and data.
    pub data_bytes: usize,
    /// Number of sessions that are alive.
    pub sessions: usize,
    /// Number of sessions that one server of an ensemble alone knows.
    pub local_sessions: usize,
    /// Chance that the throttle refuses a new connection at random.
    pub drop_chance: f64,
    /// Number of open connections, with or without a session.
    pub connections: usize,
    /// Number of watches: pairs of connection and path.
    pub watches: usize,
    /// Counters since the start or the last reset.
    pub stats: ServerStats,
    /// Numbers of watchers per event.
    pub watchers_told: WatchersTold,
    /// Figures of the ensemble; `None` for a single server, and without a quorum.
    pub ensemble: Option<EnsembleFigures>,
}

impl ServerFigures {
    /// Returns the number of nodes as ZooKeeper counts them: its map holds the root under two names.
    #[must_use]
    pub fn nodes_in_zookeeper(&self) -> usize {
        self.nodes + 1
    }
}

/// Sizes of reads and of writes below one child of the root.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct NamespaceFigures {
    /// Name of the child.
    pub name: String,
    /// Bytes per read; `None` if there were none.
    pub read: Option<Totals>,
    /// Bytes per write; `None` if there were none.
    pub written: Option<Totals>,
}

/// Figures of one connection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionFigures {
    /// Number of the connection.
    pub conn: ConnId,
    /// Address of the other end; `None` if it is in this process.
    pub remote: Option<SocketAddr>,
    /// Time at which it was accepted.
    pub established: UnixMillis,
    /// Time by which it must request a session.
    pub session_due: Millis,
    /// Its session and the session's timeout, once it has one.
    pub session: Option<(SessionId, Millis)>,
    /// True if nothing that it sends is handled, and nothing is sent to it.
    pub frozen: bool,
    /// Counters since it was accepted, or the last reset.
    pub stats: ConnectionStats,
}

/// Sessions and connections with the times of their expiry.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ExpiryFigures {
    /// Time of the figures.
    pub now: Now,
    /// Interval of the checks that close connections.
    pub connection_check: Millis,
    /// Sessions, with their ephemeral nodes.
    pub sessions: Vec<SessionInfo>,
    /// Connections.
    pub connections: Vec<ConnectionFigures>,
}

/// Watches on the data of nodes. As in ZooKeeper, those on lists of children are not among them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WatchFigures {
    /// Each watched path with a connection that watches it, in no order.
    pub pairs: Vec<(ByteString, ConnId)>,
    /// Sessions of the connections.
    pub sessions: BTreeMap<ConnId, SessionId>,
}

/// Numbers of watches on the data of nodes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct WatchCounts {
    /// Connections that watch something.
    pub connections: usize,
    /// Paths that are watched.
    pub paths: usize,
    /// Pairs of both.
    pub watches: usize,
}

/// Figures of the history.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct HistoryFigures {
    /// True if the server keeps one.
    pub is_on: bool,
    /// Number of entries since the start, also of those that are no longer kept.
    pub recorded: u64,
}

/// Figures of the fault rules.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct FaultFigures {
    /// Number of rules.
    pub rules: usize,
    /// Number of times that rules have fired, also those that were removed.
    pub fired: u64,
}

/// Directories of the snapshots and of the logs, with the bytes in them. Empty paths if nothing is on disk.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct DiskFigures {
    /// Directory of the snapshots.
    pub data: (PathBuf, u64),
    /// Directory of the logs.
    pub logs: (PathBuf, u64),
    /// Zxid of the newest snapshot, and the time at which it was written, if there is one.
    pub last_snapshot: Option<(Zxid, UnixMillis)>,
}

/// File descriptors of the process.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct DescriptorFigures {
    /// Number of open ones.
    pub open: usize,
    /// Maximum number; 0 if it is not known.
    pub max: u64,
}

/// The machine and the user that the server runs on and as; `None` where it is not known.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Environment {
    /// Name of the machine.
    pub host_name: Option<String>,
    /// Name of the operating system, as Java has it.
    pub os_name: &'static str,
    /// Architecture, as Java has it.
    pub os_arch: &'static str,
    /// Version of the kernel.
    pub os_version: Option<String>,
    /// Directory for temporary files.
    pub temp_dir: PathBuf,
    /// Working directory.
    pub current_dir: Option<PathBuf>,
    /// Name of the user.
    pub user: Option<String>,
    /// Home of the user.
    pub home: Option<String>,
    /// Memory that is available, in KiB.
    pub memory_available: Option<u64>,
    /// All memory, in KiB.
    pub memory_total: Option<u64>,
}
