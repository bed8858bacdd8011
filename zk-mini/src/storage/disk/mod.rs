//! File system that storage uses, as a trait, so that tests can have a disk that is full, fails, or loses power.

mod seam;
mod simulated;
mod system;

pub use simulated::SimulatedDisk;

pub(super) use seam::{Disk, DiskFile, Lock};
pub(super) use system::SystemDisk;

use std::sync::Arc;

/// Choice of a file system.
#[derive(Clone, Debug)]
pub(crate) enum Device {
    /// The file system of the machine.
    System,
    /// A disk in memory.
    Simulated(SimulatedDisk),
}

impl Device {
    /// Returns the file system, to be used from now on.
    pub(crate) fn mount(&self) -> Arc<dyn Disk> {
        match self {
            Self::System => Arc::new(SystemDisk),
            Self::Simulated(disk) => Arc::new(disk.mount()),
        }
    }
}
