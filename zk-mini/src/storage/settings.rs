//! How a server keeps its state.

use std::path::PathBuf;

use super::disk::Device;
use crate::core::SessionSecret;

/// Time from which a transaction counts as kept.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum SyncMode {
    /// Once the disk has it: one sync for each.
    Always,
    /// Once the disk has it: one sync for all that wait. They wait no longer for it.
    #[default]
    Group,
    /// Once the system has it. It survives the end of the process; that of the machine may leave a log on which no server
    /// starts before [`repair`].
    None,
}

/// How a server keeps its state.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) device: Device,
    /// Where the logs are, if not with the snapshots.
    pub(crate) log_dir: Option<PathBuf>,
    pub(crate) sync: SyncMode,
    /// How many snapshots are kept, with the logs behind them; `None` is all.
    pub(crate) retain: Option<usize>,
    /// Transactions until the next snapshot.
    pub(crate) snap_count: u64,
    /// Nodes of a snapshot that are taken at a time.
    pub(crate) snap_step: usize,
    /// Bytes that a log grows by at a time.
    pub(crate) pre_alloc_size: u64,
    /// Session passwords are made with a secret: with this one, if the directory has none.
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
