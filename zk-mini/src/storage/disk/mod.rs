//! What storage needs of a file system: a seam, so that a test can have a disk that is full, fails, or loses power.

mod seam;
mod simulated;
mod system;

pub use simulated::SimulatedDisk;

pub(super) use seam::{Disk, DiskFile, Lock};
pub(super) use system::SystemDisk;

use std::sync::Arc;

/// Where files are.
#[derive(Clone, Debug)]
pub(crate) enum Device {
    /// On the machine's disks.
    System,
    /// In memory.
    Simulated(SimulatedDisk),
}

impl Device {
    /// As it is to be used from now on.
    pub(crate) fn mount(&self) -> Arc<dyn Disk> {
        match self {
            Self::System => Arc::new(SystemDisk),
            Self::Simulated(disk) => Arc::new(disk.mount()),
        }
    }
}
