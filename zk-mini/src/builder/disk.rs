//! Settings of the data directory.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use crate::builder::Builder;
use crate::storage::{Device, SimulatedDisk, SyncMode};

/// Data directory.
impl Builder {
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
    /// not start. Neither does it without a `data_dir`.
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
}
