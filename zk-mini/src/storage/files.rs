//! Files of a data directory, and their names.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zk_wire::{UnixMillis, Zxid};

use super::disk::Disk;
use super::error::StorageError;
use super::log;

pub(super) const FORMAT_DIR: &str = "version-2";

/// Lock file of a directory that is being written. It is never deleted: another server may wait for it.
pub(super) const LOCK: &str = "zk-mini.lock";

/// Suffixes of compressed snapshots.
const COMPRESSED: [&str; 2] = [".gz", ".snappy"];

/// Extension of a file that is being written.
pub(super) const UNFINISHED: &str = "unfinished";

/// Number of free bytes that a disk needs to be used again: room for the writes before the next snapshot of a small
/// tree.
const ROOM: usize = 1 << 20;

/// The directories of the snapshots and of the logs, which may be one.
#[derive(Debug)]
pub(crate) struct Files {
    pub(super) disk: Arc<dyn Disk>,
    snapshots: PathBuf,
    logs: PathBuf,
}

impl Files {
    pub(super) fn new(disk: Arc<dyn Disk>, dir: &Path, log_dir: Option<&Path>) -> Self {
        Self { disk, snapshots: dir.join(FORMAT_DIR), logs: log_dir.unwrap_or(dir).join(FORMAT_DIR) }
    }

    pub(super) fn create_dirs(&self) -> Result<(), StorageError> {
        [&self.snapshots, &self.logs].into_iter().try_for_each(|dir| {
            self.disk.create_dirs(dir).map_err(|source| StorageError::io("make the directory", dir, source))
        })
    }

    /// Refuses a `version-2` in place of a data directory.
    pub(super) fn check_outer(&self) -> Result<(), StorageError> {
        for inner in [&self.snapshots, &self.logs] {
            let dir = inner.parent().unwrap_or(inner);
            let files = self.disk.list(dir).unwrap_or_default();
            if files.iter().any(|(name, _)| is_data(name)) && self.disk.list(inner).is_err() {
                let dir = self.disk.canonical(dir).unwrap_or_else(|_| dir.into());
                return Err(StorageError::Inner { dir });
            }
        }
        Ok(())
    }

    /// Refuses directories without data.
    pub(super) fn check_there(&self) -> Result<(), StorageError> {
        self.check_outer()?;
        for inner in [&self.snapshots, &self.logs] {
            let Err(error) = self.disk.list(inner) else { continue };
            let dir = inner.parent().unwrap_or(inner);
            self.disk.list(dir).map_err(|source| StorageError::io("read", dir, source))?;
            return Err(match error.kind() {
                io::ErrorKind::NotFound => StorageError::NoData { dir: dir.into() },
                _ => StorageError::io("read", inner, error),
            });
        }
        let has_data = |dir: &PathBuf| {
            let files = self.disk.list(dir).unwrap_or_default();
            files.iter().any(|(name, _)| is_data(name))
        };
        if [&self.snapshots, &self.logs].into_iter().any(has_data) {
            return Ok(());
        }
        Err(StorageError::Empty { dir: self.snapshots.clone() })
    }

    /// Refuses logs in the directory for snapshots and snapshots in that for logs, if these are two: the given
    /// directories do not have all files.
    pub(super) fn check_places(&self) -> Result<(), StorageError> {
        let canonical =
            |dir: &Path| self.disk.canonical(dir).map_err(|source| StorageError::io("read", dir, source));
        self.check_noted_logs()?;
        if canonical(&self.snapshots)? == canonical(&self.logs)? {
            return Ok(());
        }
        for (dir, is_log_dir) in [(&self.snapshots, false), (&self.logs, true)] {
            let files = self.disk.list(dir).map_err(|source| StorageError::io("read", dir, source))?;
            let is_strange = |name: &str| if is_log_dir { is_snapshot(name) } else { is_log(name) };
            if let Some((name, _)) = files.iter().find(|(name, _)| is_strange(name)) {
                return Err(StorageError::Misplaced { file: dir.join(name), is_log: !is_log_dir });
            }
        }
        Ok(())
    }

    /// Refuses logs whose first transaction is before the name of the log or beyond that of the next: they have been
    /// renamed or copied, and the names do not tell what is missing.
    pub(super) fn check_names(&self, logs: &[(Zxid, PathBuf)]) -> Result<(), StorageError> {
        let nexts = logs.iter().skip(1).map(|(next, _)| Some(*next)).chain([None]);
        for ((name, file), next) in logs.iter().zip(nexts) {
            let Some(first) = log::first_zxid(&*self.disk, file) else { continue };
            if first < *name || next.is_some_and(|next| next <= first) {
                let reason = format!("its first transaction is {first}");
                return Err(StorageError::Misnamed { file: file.clone(), reason });
            }
        }
        Ok(())
    }

    /// Deletes files that a crash has left half-written. They only take room.
    pub(super) fn remove_unfinished(&self) {
        for dir in [&self.snapshots, &self.logs] {
            let files = self.disk.list(dir).unwrap_or_default();
            let files = files.iter().map(|(name, _)| dir.join(name));
            for file in files.filter(|file| file.extension().is_some_and(|extension| extension == UNFINISHED))
            {
                let _ = self.disk.remove(&file);
            }
        }
    }

    /// Returns the directories to lock.
    pub(super) fn to_lock(&self) -> Result<Vec<PathBuf>, StorageError> {
        let canonical = |dir: &PathBuf| {
            let parent = dir.parent().unwrap_or(dir);
            self.disk.canonical(parent).map_err(|source| StorageError::io("find", parent, source))
        };
        let mut dirs = vec![canonical(&self.snapshots)?, canonical(&self.logs)?];
        dirs.dedup();
        Ok(dirs)
    }

    pub(super) fn dir(&self) -> &Path {
        &self.snapshots
    }

    /// Returns the file of the secret for session passwords, beside the directory of the snapshots.
    pub(super) fn secret(&self) -> PathBuf {
        self.snapshots.with_file_name("zk-mini.secret")
    }

    /// Returns the directories as they were given.
    pub(super) fn outer(&self) -> [&Path; 2] {
        [&self.snapshots, &self.logs].map(|dir| dir.parent().unwrap_or(dir))
    }

    /// Returns the directories of the snapshots and of the logs, with the number of bytes in each.
    pub(crate) fn usage(&self) -> [(&Path, u64); 2] {
        [&self.snapshots, &self.logs].map(|dir| {
            let files = self.disk.list(dir).unwrap_or_default();
            (dir.as_path(), files.iter().map(|(_, len)| len).sum())
        })
    }

    /// Returns the zxid of the newest snapshot, and the time at which it was written, if there is one.
    pub(crate) fn last_snapshot(&self) -> Option<(Zxid, UnixMillis)> {
        let (zxid, file) = self.snapshots().ok()?.pop()?;
        Some((zxid, self.disk.modified(&file).ok()?))
    }

    pub(super) fn snapshot(&self, last: Zxid) -> PathBuf {
        self.snapshots.join(format!("snapshot.{:x}", last.0))
    }

    pub(super) fn log(&self, first: Zxid) -> PathBuf {
        self.logs.join(format!("log.{:x}", first.0))
    }

    /// Returns the snapshots, oldest first.
    pub(super) fn snapshots(&self) -> Result<Vec<(Zxid, PathBuf)>, StorageError> {
        self.list(&self.snapshots, "snapshot", &COMPRESSED)
    }

    /// Returns the logs, oldest first.
    pub(super) fn logs(&self) -> Result<Vec<(Zxid, PathBuf)>, StorageError> {
        self.list(&self.logs, "log", &[])
    }

    fn list(&self, dir: &Path, kind: &str, suffixes: &[&str]) -> Result<Vec<(Zxid, PathBuf)>, StorageError> {
        let files = self.disk.list(dir).map_err(|source| StorageError::io("read", dir, source))?;
        let numbered = |(name, _): &(String, u64)| Some((zxid_in(name, kind, suffixes)?, dir.join(name)));
        let mut found: Vec<_> = files.iter().filter_map(numbered).collect();
        found.sort_unstable();
        Ok(found)
    }

    /// Makes the names of all files durable.
    pub(super) fn sync_dirs(&self) -> Result<(), StorageError> {
        [&self.snapshots, &self.logs].into_iter().try_for_each(|dir| {
            self.disk.sync_dir(dir).map_err(|source| StorageError::io("sync", dir, source))
        })
    }

    /// Makes the names of new snapshots durable.
    pub(super) fn sync_dir(&self) -> io::Result<()> {
        self.disk.sync_dir(&self.snapshots)
    }

    /// Makes the names of new logs durable.
    pub(super) fn sync_log_dir(&self) -> io::Result<()> {
        self.disk.sync_dir(&self.logs)
    }

    /// Checks that the disk takes some more bytes.
    pub(super) fn try_room(&self) -> io::Result<()> {
        let probe = self.logs.join("probe").with_extension(UNFINISHED);
        let mut file = self.disk.create(&probe)?;
        let tried = file.write_at(0, &vec![0; ROOM]).and_then(|()| file.sync());
        self.disk.remove(&probe).and(tried)
    }
}

/// Returns true if Apache ZooKeeper takes a name for a log, whatever follows.
pub(super) fn is_log(name: &str) -> bool {
    name.starts_with("log.")
}

/// Returns true for the name of a log or a snapshot.
fn is_data(name: &str) -> bool {
    zxid_in(name, "log", &[]).or(zxid_in(name, "snapshot", &COMPRESSED)).is_some()
}

fn is_snapshot(name: &str) -> bool {
    name.starts_with("snapshot.")
}

/// Returns the number in the name of a log or a snapshot.
fn zxid_in(name: &str, kind: &str, suffixes: &[&str]) -> Option<Zxid> {
    let rest = name.strip_prefix(kind)?.strip_prefix('.')?;
    let digits = suffixes.iter().find_map(|suffix| rest.strip_suffix(suffix)).unwrap_or(rest);
    u64::from_str_radix(digits, 16).ok().map(|n| Zxid(n.cast_signed()))
}
