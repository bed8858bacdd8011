//! A disk in memory that fails as real ones do, when a test says so.

mod content;
mod mounted;
mod state;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fastrand::Rng;
use mounted::Mounted;
use state::DiskState;

/// A disk in memory for [`Builder::disk`](crate::Builder::disk): data directories without files, that can be full, fail,
/// and lose power.
///
/// It promises no more than POSIX and disks do: what was not synced when the power went is there, or not, or in part,
/// sector by sector and in any order; and a file's name is durable only once its directory has been synced.
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
/// assert_eq!(zk.direct().last_zxid().0, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SimulatedDisk {
    state: Arc<Mutex<DiskState>>,
}

impl SimulatedDisk {
    /// An empty disk. What is lost with the power is drawn by the seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: Arc::new(Mutex::new(DiskState { rng: Rng::with_seed(seed), ..DiskState::default() })) }
    }

    /// The power goes: from now on everything fails.
    pub fn lose_power(&self) {
        self.lock_state().off = true;
    }

    /// The power goes at the `changes`-th change from now, and what that was to write is like all that was not synced.
    pub fn lose_power_after(&self, changes: u64) {
        self.lock_state().power_left = Some(changes);
    }

    /// The `changes`-th change from now fails, and is not made; those after it are.
    pub fn fail_after(&self, changes: u64) {
        self.lock_state().failing_in = Some(changes);
    }

    /// How many changes there have been: each write, sync, new length, new or other name.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.lock_state().changes
    }

    /// The files that there are, by name.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        self.lock_state().names.keys().cloned().collect()
    }

    /// Whether the power is gone.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.lock_state().off
    }

    /// The power is back: what was not synced is there, or not, or in part. Whoever wrote before the loss still fails.
    pub fn restore_power(&self) {
        let mut state = self.lock_state();
        state.lose_unsynced();
        state.boots += 1;
        state.locked.clear();
        (state.off, state.power_left, state.failing_in) = (false, None, None);
    }

    /// Whether nothing more fits: writes end half-way, with "no space left".
    pub fn set_full(&self, full: bool) {
        self.lock_state().full = full;
    }

    /// Whether it can only be read.
    pub fn set_read_only(&self, read_only: bool) {
        self.lock_state().read_only = read_only;
    }

    /// Whether syncs fail; what was to be synced may or may not become durable then.
    pub fn set_failing_syncs(&self, failing: bool) {
        self.lock_state().failing_syncs = failing;
    }

    /// As those see it who use it until the power goes.
    pub(crate) fn mount(&self) -> Mounted {
        Mounted { state: Arc::clone(&self.state), boot: self.lock_state().boots }
    }

    fn lock_state(&self) -> MutexGuard<'_, DiskState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
