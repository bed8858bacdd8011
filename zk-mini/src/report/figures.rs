//! Figures of a server at one moment, apart from every text that shows them.

use std::net::SocketAddr;
use std::path::PathBuf;

use foldhash::HashMap;
use zk_wire::{ByteString, Millis, SessionId, UnixMillis, Zxid};

use crate::core::{Compat, ConnId, Now, SessionInfo, Totals, WatchersTold};
use crate::report::stats::{ConnectionStats, ServerStats};

/// Settings of a server, which do not change while it runs.
#[derive(Clone, Debug)]
pub(crate) struct Configuration {
    pub(crate) compat: Compat,
    pub(crate) tick: Millis,
    /// Shortest and longest session timeout that a client can get.
    pub(crate) session_timeouts: (Millis, Millis),
    /// First address that it listens on.
    pub(crate) listens: Option<SocketAddr>,
    /// `clientPortListenBacklog`, as it was set.
    pub(crate) backlog: i32,
    /// `maxClientCnxns`, as it was set.
    pub(crate) max_client_connections: i32,
}

impl Configuration {
    /// Returns the version of ZooKeeper that the server is like, and its own, in ZooKeeper's form.
    pub(crate) fn version(&self) -> String {
        let like = match self.compat {
            Compat::V3_8 => "3.8.7",
            Compat::V3_9 => "3.9.5",
        };
        // A build has no date, so that the same source gives the same build.
        format!("{like}-zk-mini-{}, built on 1970-01-01 00:00 UTC", env!("CARGO_PKG_VERSION"))
    }
}

/// Figures of the whole server.
#[derive(Clone, Debug)]
pub(crate) struct ServerFigures {
    pub(crate) uptime: Millis,
    pub(crate) last_zxid: Zxid,
    pub(crate) nodes: usize,
    pub(crate) ephemeral_nodes: usize,
    /// Bytes of all paths and data.
    pub(crate) data_bytes: usize,
    pub(crate) sessions: usize,
    pub(crate) connections: usize,
    pub(crate) watches: usize,
    /// Counters since the start or the last reset.
    pub(crate) stats: ServerStats,
    pub(crate) watchers_told: WatchersTold,
}

impl ServerFigures {
    /// Returns the number of nodes as ZooKeeper counts them: its map holds the root under two names.
    pub(crate) fn nodes_in_zookeeper(&self) -> usize {
        self.nodes + 1
    }
}

/// Sizes of reads and of writes below one child of the root; `None` if there were none.
#[derive(Clone, Debug)]
pub(crate) struct NamespaceFigures {
    pub(crate) name: String,
    pub(crate) read: Option<Totals>,
    pub(crate) written: Option<Totals>,
}

/// Figures of one connection.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionFigures {
    pub(crate) conn: ConnId,
    /// Address of the other end; `None` if it is in this process.
    pub(crate) remote: Option<SocketAddr>,
    /// Time at which it was accepted.
    pub(crate) established: UnixMillis,
    /// Time by which it must request a session.
    pub(crate) session_due: Millis,
    /// Its session and the session's timeout, once it has one.
    pub(crate) session: Option<(SessionId, Millis)>,
    pub(crate) frozen: bool,
    pub(crate) stats: ConnectionStats,
}

/// Sessions and connections with the times of their expiry.
#[derive(Clone, Debug)]
pub(crate) struct ExpiryFigures {
    pub(crate) now: Now,
    /// Interval of the checks that close connections.
    pub(crate) connection_check: Millis,
    pub(crate) sessions: Vec<SessionInfo>,
    pub(crate) connections: Vec<ConnectionFigures>,
}

/// Watches on the data of nodes. As in ZooKeeper, those on lists of children are not among them.
#[derive(Clone, Debug)]
pub(crate) struct WatchFigures {
    /// Each watched path with a connection that watches it, in no order.
    pub(crate) pairs: Vec<(ByteString, ConnId)>,
    pub(crate) sessions: HashMap<ConnId, SessionId>,
}

/// Numbers of watches on the data of nodes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WatchCounts {
    pub(crate) connections: usize,
    pub(crate) paths: usize,
    pub(crate) watches: usize,
}

/// Directories of the snapshots and of the logs, with the bytes in them. Empty paths if nothing is on disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct DiskFigures {
    pub(crate) data: (PathBuf, u64),
    pub(crate) logs: (PathBuf, u64),
}

/// File descriptors of the process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DescriptorFigures {
    pub(crate) open: usize,
    pub(crate) max: u64,
}

/// The machine and the user that the server runs on and as; `None` where it is not known.
#[derive(Clone, Debug)]
pub(crate) struct Environment {
    pub(crate) host_name: Option<String>,
    pub(crate) os_name: &'static str,
    pub(crate) os_arch: &'static str,
    pub(crate) os_version: Option<String>,
    pub(crate) temp_dir: PathBuf,
    pub(crate) current_dir: Option<PathBuf>,
    pub(crate) user: Option<String>,
    pub(crate) home: Option<String>,
    /// Memory that is available, and all memory, in KiB.
    pub(crate) memory_available: Option<u64>,
    pub(crate) memory_total: Option<u64>,
}
