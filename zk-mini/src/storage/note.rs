//! Note in the lock file: the directory of the logs, for a start that is given another one.

use std::path::{Path, PathBuf};

use super::error::StorageError;
use super::files::{FORMAT_DIR, Files, LOCK, is_log};
use crate::sys;

impl Files {
    /// Refuses a log directory without logs if the directory that the last server [noted](Self::log_dir_to_note) has
    /// some: the snapshots alone are an older state.
    pub(super) fn check_noted_logs(&self) -> Result<(), StorageError> {
        const LONGEST: u64 = 4_096;
        let [data, dir] = self.outer();
        let has_logs =
            |dir: &Path| self.disk.list(dir).unwrap_or_default().iter().any(|(name, _)| is_log(name));
        // A user that may not read the note is not warned.
        let noted = self.disk.read_start(&data.join(LOCK), LONGEST).unwrap_or_default();
        let logs = PathBuf::from(sys::name_from_bytes(&noted));
        if !logs.as_os_str().is_empty()
            && !has_logs(&dir.join(FORMAT_DIR))
            && has_logs(&logs.join(FORMAT_DIR))
        {
            return Err(StorageError::LogsElsewhere { dir: dir.into(), data: data.into(), logs });
        }
        Ok(())
    }

    /// Returns the note for the lock file of the data directory: the directory of the logs, if it is another;
    /// otherwise nothing.
    pub(super) fn log_dir_to_note(&self) -> Result<Vec<u8>, StorageError> {
        let dirs = self.to_lock()?;
        Ok(dirs.into_iter().nth(1).map(|logs| sys::name_bytes(logs.as_os_str())).unwrap_or_default())
    }
}
