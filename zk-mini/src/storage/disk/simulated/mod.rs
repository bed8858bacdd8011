//! A disk in memory that fails as real disks do, on a test's command.

mod content;
mod mounted;
mod state;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fastrand::Rng;
use mounted::Mounted;
use state::DiskState;

/// A disk in memory for [`Builder::disk`](crate::Builder::disk): data directories without files, which can be full,
/// fail, and lose power.
///
/// It promises no more than POSIX and disks do. After a loss of power, bytes that were not synced are there, or not,
/// or in part, sector by sector and in any order. The name of a file is durable only once its directory has been
/// synced.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), zk_mini::Error> {
/// use zk_mini::ZkMini;
/// use zk_mini::storage::SimulatedDisk;
///
/// let disk = SimulatedDisk::new(7);
/// let zk = ZkMini::builder().in_memory().data_dir("/data").disk(&disk).start().await?;
/// disk.lose_power();
/// drop(zk);
/// disk.restore_power();
/// let zk = ZkMini::builder().in_memory().data_dir("/data").disk(&disk).start().await?;
/// assert_eq!(zk.last_zxid().0, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SimulatedDisk {
    state: Arc<Mutex<DiskState>>,
}

impl SimulatedDisk {
    /// Returns an empty disk. The seed decides what a loss of power takes.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: Arc::new(Mutex::new(DiskState { rng: Rng::with_seed(seed), ..DiskState::default() })) }
    }

    /// Turns the power off: from now on every operation fails.
    pub fn lose_power(&self) {
        self.lock_state().off = true;
    }

    /// Turns the power off at the `changes`-th change from now. The bytes of that change are lost in part, like all
    /// that were not synced.
    pub fn lose_power_after(&self, changes: u64) {
        self.lock_state().power_left = Some(changes);
    }

    /// Lets the `changes`-th change from now fail, without an effect. Later changes succeed.
    pub fn fail_after(&self, changes: u64) {
        self.lock_state().failing_in = Some(changes);
    }

    /// Returns the number of changes so far: each write, sync, new length, and new or other name counts.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.lock_state().changes
    }

    /// Returns the files, sorted by name.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        self.lock_state().names.keys().cloned().collect()
    }

    /// Returns true if the power is off.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.lock_state().off
    }

    /// Turns the power on. Bytes that were not synced are there, or not, or in part. Servers from before the loss
    /// still fail.
    pub fn restore_power(&self) {
        let mut state = self.lock_state();
        state.lose_unsynced();
        state.boots += 1;
        state.locked.clear();
        (state.off, state.power_left, state.failing_in) = (false, None, None);
    }

    /// Fills the disk, or frees it: when it is full, writes end half-way with "no space left".
    pub fn set_full(&self, full: bool) {
        self.lock_state().full = full;
    }

    /// Makes the disk read-only, or writable again.
    pub fn set_read_only(&self, read_only: bool) {
        self.lock_state().read_only = read_only;
    }

    /// Lets syncs fail, or succeed again. The bytes of a failed sync may or may not become durable.
    pub fn set_failing_syncs(&self, failing: bool) {
        self.lock_state().failing_syncs = failing;
    }

    /// Returns the disk as a server sees it until the power goes.
    pub(crate) fn mount(&self) -> Mounted {
        Mounted { state: Arc::clone(&self.state), boot: self.lock_state().boots }
    }

    fn lock_state(&self) -> MutexGuard<'_, DiskState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
