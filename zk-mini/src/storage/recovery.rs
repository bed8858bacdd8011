//! From the files of a directory to the state that they describe.

use std::path::{Path, PathBuf};

use zk_wire::Zxid;

use super::error::StorageError;
use super::files::Files;
use super::log::{self, Tail};
use super::snapshot;
use crate::core::{Config, Core, Image, Now};

/// What a directory holds.
#[derive(Debug)]
pub struct Recovery {
    /// The state. Every session has its full timeout left.
    pub core: Core,
    /// The snapshot that it begins with; none in a new directory.
    pub snapshot: Option<PathBuf>,
    /// Transactions that followed it.
    pub replayed: u64,
    /// A log that ends in a half-written record, where that begins, and how many bytes there are of it.
    pub torn: Option<(PathBuf, u64, u64)>,
    /// Snapshots that were passed over, with what is wrong with them.
    pub damaged: Vec<StorageError>,
}

/// Reads a data directory and changes nothing, whether or not a server runs on it.
///
/// # Errors
/// [`StorageError`] if the state cannot be told from the files.
pub fn recover(dir: &Path, log_dir: Option<&Path>) -> Result<Recovery, StorageError> {
    recover_files(&Files::new(dir, log_dir), Config::default())
}

pub(super) fn recover_files(files: &Files, config: Config) -> Result<Recovery, StorageError> {
    // Sessions begin their timeouts with the clock.
    let now = Now::default();
    let (mut image, mut damaged) = (None, Vec::new());
    for (zxid, file) in files.snapshots()?.into_iter().rev() {
        match snapshot::read(&file, zxid) {
            Ok(read) => {
                image = Some((read, file));
                break;
            }
            Err(error) => {
                tracing::warn!(%error, "passed over");
                damaged.push(error);
            }
        }
    }
    let logs = files.logs()?;
    // Without a snapshot the logs have to begin with the first transaction.
    if let (None, Some((first, _))) = (&image, logs.first().filter(|(first, _)| *first != Zxid(1))) {
        return Err(StorageError::NoSnapshot { dir: files.dir().into(), first: *first });
    }
    let (image, snapshot) = image.map_or((Image::default(), None), |(image, file)| (image, Some(file)));
    let from = logs.iter().rposition(|(first, _)| *first <= image.last_zxid.next()).unwrap_or(0);
    let mut recovery =
        Recovery { core: Core::restore(config, now, image), snapshot, replayed: 0, torn: None, damaged };
    for (_, file) in &logs[from..] {
        let (core, replayed) = (&mut recovery.core, &mut recovery.replayed);
        let tail = log::read(file, |txn| {
            *replayed += u64::from(txn.zxid > core.last_zxid());
            core.replay(now, &txn);
        })?;
        if let Tail::Torn { offset, bytes } = tail {
            recovery.torn = Some((file.clone(), offset, bytes));
        }
    }
    recovery.core.recovered();
    Ok(recovery)
}

impl Recovery {
    /// Takes off what a crash has left of the last write.
    pub(super) fn cut_tail(&self) -> Result<(), StorageError> {
        let Some((file, offset, bytes)) = &self.torn else { return Ok(()) };
        tracing::warn!(
            log = %file.display(), bytes, zxid = %self.core.last_zxid(),
            "the end of the log was being written when the server died, and is cut off; the last transaction is zxid"
        );
        log::cut(file, *offset).map_err(|source| StorageError::io("cut", file, source))
    }
}
