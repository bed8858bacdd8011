//! State of a simulated disk: files, their names, and the faults that a test has asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use fastrand::Rng;

use super::content::Content;

#[derive(Debug, Default)]
pub(super) struct DiskState {
    pub(super) files: Vec<Content>,
    pub(super) names: BTreeMap<PathBuf, usize>,
    /// Names that are durable.
    pub(super) durable_names: BTreeMap<PathBuf, usize>,
    /// Changes of names that are not durable, in order.
    pub(super) unsynced_names: Vec<(PathBuf, Option<usize>)>,
    pub(super) dirs: BTreeSet<PathBuf>,
    pub(super) locked: BTreeSet<PathBuf>,
    pub(super) rng: Rng,
    /// Number of times that power came back. Files opened before that are gone.
    pub(super) boots: u64,
    pub(super) off: bool,
    /// Number of changes until the power goes.
    pub(super) power_left: Option<u64>,
    pub(super) changes: u64,
    /// Number of changes until one fails.
    pub(super) failing_in: Option<u64>,
    pub(super) full: bool,
    pub(super) read_only: bool,
    pub(super) failing_syncs: bool,
}

impl DiskState {
    pub(super) fn find(&self, file: &Path) -> io::Result<usize> {
        self.names.get(file).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn name(&mut self, file: &Path, content: Option<usize>) {
        bind(&mut self.names, file, content);
        self.unsynced_names.push((file.into(), content));
    }

    pub(super) fn lose_unsynced(&mut self) {
        // The changes of one directory become durable in their order, those of several in any.
        let mut left = BTreeMap::new();
        let unsynced = std::mem::take(&mut self.unsynced_names);
        for (file, content) in &unsynced {
            let more = self.rng.u8(0..4) > 0;
            let still = left.entry(file.parent()).or_insert(true);
            *still &= more;
            if *still {
                bind(&mut self.durable_names, file, *content);
            }
        }
        self.names = self.durable_names.clone();
        for content in &mut self.files {
            content.lose_unsynced(&mut self.rng);
        }
    }

    /// Checks that syncs work, and that the power stays on.
    pub(super) fn syncs(&self) -> io::Result<()> {
        if self.failing_syncs {
            Err(io::Error::other("the disk does not sync"))
        } else if self.off {
            Err(no_power())
        } else {
            Ok(())
        }
    }
}

pub(super) fn bind(names: &mut BTreeMap<PathBuf, usize>, file: &Path, content: Option<usize>) {
    match content {
        Some(content) => drop(names.insert(file.into(), content)),
        None => drop(names.remove(file)),
    }
}

pub(super) fn no_power() -> io::Error {
    io::Error::other("the disk has no power")
}
