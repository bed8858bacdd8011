//! Writes snapshots, and deletes old ones.

use std::sync::Arc;

use zk_wire::Zxid;

use super::error::StorageError;
use super::files::Files;
use super::log::Unsynced;
use super::snapshot;
use crate::core::Image;

/// Writes snapshots.
#[derive(Clone, Debug)]
pub(crate) struct Snapshots {
    pub(super) files: Arc<Files>,
    pub(super) retain: Option<usize>,
    /// Log with the transactions that the next snapshot shows, if it has not been synced.
    pub(super) unsynced: Option<Unsynced>,
    /// True if snapshots have the part that 3.9 has added.
    pub(super) processed: bool,
}

impl Snapshots {
    /// Writes a snapshot, and deletes old ones.
    pub(crate) fn write(&self, image: &Image) -> Result<(), StorageError> {
        let disk = &*self.files.disk;
        if let Some(log) = &self.unsynced {
            log.sync(disk)?;
        }
        let file = self.files.snapshot(image.last_zxid);
        let written =
            snapshot::write(disk, &file, image, self.processed).and_then(|()| self.files.sync_dir());
        written.map_err(|source| StorageError::io("write", &file, source))?;
        if let Some(retain) = self.retain
            && let Err(error) = self.purge(retain, image.last_zxid)
        {
            log!(WARN, %error, "cannot delete old snapshots and logs");
        }
        Ok(())
    }

    /// Keeps the newest `retain` whole snapshots, one of which has just been `written`, and the logs behind the
    /// oldest of them. Deletes all others.
    fn purge(&self, retain: usize, written: Zxid) -> Result<(), StorageError> {
        let files = &*self.files;
        let snapshots = files.snapshots()?;
        let mut wanted = retain.max(1);
        let oldest = snapshots.iter().rposition(|(zxid, file)| {
            let counts = *zxid == written || snapshot::is_whole(&*files.disk, file);
            wanted -= usize::from(counts);
            wanted == 0
        });
        let Some(oldest) = oldest else { return Ok(()) };
        let logs = files.logs()?;
        // The log that was open while the oldest snapshot was taken is needed as well.
        let needed = logs.iter().rposition(|(first, _)| *first <= snapshots[oldest].0.next()).unwrap_or(0);
        let mut unneeded = snapshots[..oldest].iter().chain(&logs[..needed]);
        unneeded.try_for_each(|(_, file)| {
            files.disk.remove(file).map_err(|source| StorageError::io("delete", file, source))
        })
    }
}
