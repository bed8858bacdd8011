//! Which files there are, and what they are called.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use zk_wire::Zxid;

use super::error::StorageError;
use super::list;

const FORMAT_DIR: &str = "version-2";

/// The two directories, which may be one.
#[derive(Debug)]
pub(crate) struct Files {
    snapshots: PathBuf,
    logs: PathBuf,
}

impl Files {
    pub(super) fn new(dir: &Path, log_dir: Option<&Path>) -> Self {
        Self { snapshots: dir.join(FORMAT_DIR), logs: log_dir.unwrap_or(dir).join(FORMAT_DIR) }
    }

    pub(super) fn create_dirs(&self) -> Result<(), StorageError> {
        for dir in [&self.snapshots, &self.logs] {
            fs::create_dir_all(dir).map_err(|source| StorageError::io("make the directory", dir, source))?;
        }
        Ok(())
    }

    pub(super) fn dir(&self) -> &Path {
        &self.snapshots
    }

    /// Where snapshots and logs are, and how many bytes of them.
    pub(crate) fn usage(&self) -> [(&Path, u64); 2] {
        [&self.snapshots, &self.logs].map(|dir| {
            let entries = fs::read_dir(dir).into_iter().flatten().flatten();
            (dir.as_path(), entries.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum())
        })
    }

    pub(super) fn snapshot(&self, last: Zxid) -> PathBuf {
        self.snapshots.join(format!("snapshot.{:x}", last.0))
    }

    pub(super) fn log(&self, first: Zxid) -> PathBuf {
        self.logs.join(format!("log.{:x}", first.0))
    }

    /// The snapshots, oldest first.
    pub(super) fn snapshots(&self) -> Result<Vec<(Zxid, PathBuf)>, StorageError> {
        list(&self.snapshots, "snapshot")
    }

    /// The logs, oldest first.
    pub(super) fn logs(&self) -> Result<Vec<(Zxid, PathBuf)>, StorageError> {
        list(&self.logs, "log")
    }

    /// The names of new snapshots are kept, too.
    pub(super) fn sync_dir(&self) -> io::Result<()> {
        File::open(&self.snapshots)?.sync_all()
    }

    /// The names of new logs are kept, too.
    pub(super) fn sync_log_dir(&self) -> io::Result<()> {
        File::open(&self.logs)?.sync_all()
    }

    /// Keeps the newest snapshots and what is behind the oldest of them.
    pub(super) fn purge(&self, retain: usize) -> io::Result<()> {
        let other = |error: StorageError| io::Error::other(error.to_string());
        let snapshots = self.snapshots().map_err(other)?;
        let Some(oldest) = snapshots.len().checked_sub(retain.max(1)) else { return Ok(()) };
        let logs = self.logs().map_err(other)?;
        // The log that the oldest snapshot was taken in is needed as well.
        let needed = logs.iter().rposition(|(first, _)| *first <= snapshots[oldest].0.next()).unwrap_or(0);
        for (_, file) in snapshots[..oldest].iter().chain(&logs[..needed]) {
            fs::remove_file(file)?;
        }
        Ok(())
    }
}
