//! Settings of a data directory.

use std::path::PathBuf;

use super::disk::Device;
use crate::core::SessionSecret;

/// Time at which a write is durable, and is answered.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum SyncMode {
    /// After a sync of its own.
    Always,
    /// After a sync that serves all waiting writes. They wait no longer than for a sync of their own.
    #[default]
    Group,
    /// After the operating system has it. It survives a crash of the process. After a crash of the machine, a server may
    /// not start on the log before a [`repair`](super::repair()).
    None,
}

/// Settings of a data directory.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) device: Device,
    /// Directory of the logs, if it is not that of the snapshots.
    pub(crate) log_dir: Option<PathBuf>,
    pub(crate) sync: SyncMode,
    /// Number of snapshots to keep, with the logs behind them; `None` keeps all.
    pub(crate) retain: Option<usize>,
    /// Number of transactions between two snapshots.
    pub(crate) snap_count: u64,
    /// Number of nodes of a snapshot that are copied in one step.
    pub(crate) snap_step: usize,
    /// Number of bytes by which a log grows.
    pub(crate) pre_alloc_size: u64,
    /// Secret for session passwords, if the directory has none; `None` for passwords in Apache ZooKeeper's way.
    pub(crate) new_secret: Option<SessionSecret>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            device: Device::System,
            log_dir: None,
            sync: SyncMode::default(),
            retain: None,
            snap_count: 100_000,
            snap_step: 1_000,
            pre_alloc_size: 64 << 20,
            new_secret: None,
        }
    }
}
