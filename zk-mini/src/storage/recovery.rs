//! From the files of a directory to the state that they describe.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use zk_wire::Zxid;

use super::disk::{Disk, SystemDisk};
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
    /// The logs that were read behind it.
    pub logs: Vec<PathBuf>,
    /// Transactions that followed it.
    pub replayed: u64,
    /// A log that ends in a half-written record, where that begins, and how many bytes there are of it.
    pub torn: Option<(PathBuf, u64, u64)>,
    /// Snapshots that were passed over, with what is wrong with them.
    pub damaged: Vec<StorageError>,
    /// Whether nodes were deleted that belonged to no session.
    pub ended_nodes: bool,
    /// Whether the state is the one that its writer had, by the digest that it left; `None` if it left none.
    pub verified: Option<bool>,
}

/// Reads a data directory and changes nothing, whether or not a server runs on it.
///
/// # Errors
/// [`StorageError`] if the state cannot be told from the files.
pub fn recover(dir: &Path, log_dir: Option<&Path>) -> Result<Recovery, StorageError> {
    let files = Files::new(Arc::new(SystemDisk), dir, log_dir);
    recover_files(&files, None, Config { digests: true, ..Config::default() }, Now::default())
}

/// As [`recover`]. Of the log that is `open`, so many bytes are read; the sessions begin their timeouts at `now`.
pub(super) fn recover_files(
    files: &Files,
    open: Option<(&Path, u64)>,
    config: Config,
    now: Now,
) -> Result<Recovery, StorageError> {
    let disk = &*files.disk;
    let (mut image, mut damaged) = (None, Vec::new());
    for (zxid, file) in files.snapshots()?.into_iter().rev() {
        match snapshot::read(disk, &file, zxid) {
            Ok(read) => {
                image = Some((read, file));
                break;
            }
            Err(error @ StorageError::Snapshot { .. }) => {
                log!(WARN, %error, "passed over");
                damaged.push((zxid, error));
            }
            // It may be sound, and the logs behind it deleted.
            Err(error) => return Err(error),
        }
    }
    let logs = files.logs()?;
    // Without a snapshot the logs have to begin with the first transaction.
    if let (None, Some((first, _))) = (&image, logs.first().filter(|(first, _)| *first != Zxid(1))) {
        return Err(StorageError::NoSnapshot { dir: files.dir().into(), first: *first });
    }
    let (image, snapshot) = image.map_or((Image::default(), None), |(image, file)| (image, Some(file)));
    let shown = image.digest.map(|(zxid, _)| zxid);
    let from = logs.iter().rposition(|(first, _)| *first <= image.last_zxid.next());
    let mut recovery = Recovery {
        core: Core::restore(config, now, image),
        snapshot,
        logs: Vec::new(),
        replayed: 0,
        torn: None,
        damaged: Vec::new(),
        verified: None,
        ended_nodes: false,
    };
    let digest = recovery.replay(disk, &logs[from.unwrap_or(0)..], open, now)?;
    recovery.verified = digest.map(|digest| Some(digest) == recovery.core.digest());
    if recovery.verified == Some(false) {
        let zxid = recovery.core.last_zxid();
        log!(WARN, %zxid, "the digest in the log is not that of the state: something has been lost or changed");
    }
    let last = recovery.core.last_zxid();
    if let Some(lost) = damaged.iter().position(|(zxid, _)| *zxid > last || recovery.is_empty()) {
        return Err(StorageError::Lost { damage: Box::new(damaged.swap_remove(lost).1), last });
    }
    if let Some(shown) = shown.filter(|shown| *shown > last)
        && let Some(file) = recovery.snapshot.clone()
    {
        return Err(StorageError::Ahead { file, shown, last });
    }
    recovery.damaged = damaged.into_iter().map(|(_, error)| error).collect();
    recovery.ended_nodes = recovery.core.recovered(now);
    match recovery.core.without_acl() {
        Some(node) => Err(StorageError::NoAcl { dir: files.dir().into(), node: node.to_string() }),
        None => Ok(recovery),
    }
}

/// Whether a number is the one after another; the first of an epoch, which an ensemble counts in, follows any.
fn follows(next: Zxid, last: Zxid) -> bool {
    next == last.next() || next.0 >> 32 > last.0 >> 32
}

impl Recovery {
    /// Does again what logs hold that follow each other. Returns the digest that the last transaction has.
    fn replay(
        &mut self,
        disk: &dyn Disk,
        logs: &[(Zxid, PathBuf)],
        open: Option<(&Path, u64)>,
        now: Now,
    ) -> Result<Option<u64>, StorageError> {
        // What a server writes while it serves has its digest for the end only.
        let mut digest = None;
        for (first, file) in logs {
            let last = self.core.last_zxid();
            // Apache ZooKeeper skips a number now and then: nothing is missing if the digest after the next one is right.
            let mut is_gap = *first > last && !follows(*first, last);
            let (core, before) = (&mut self.core, self.replayed);
            let limit = open.filter(|(open, _)| open == file).map(|(_, limit)| limit);
            let tail = log::read(disk, file, limit, |txn| {
                if txn.zxid > core.last_zxid() {
                    digest = txn.digest;
                    core.replay(now, txn);
                    is_gap &= self.replayed > before || digest.is_none() || digest != core.digest();
                    self.replayed += 1;
                }
            })?;
            if is_gap {
                return Err(StorageError::Gap { file: file.clone(), last });
            }
            self.logs.push(file.clone());
            // Only that of the last: before others Apache ZooKeeper leaves such an end where it is, and goes on with the
            // next number in the next log.
            self.torn = match tail {
                Tail::Whole => None,
                Tail::Torn { offset, bytes } => Some((file.clone(), offset, bytes)),
            };
        }
        Ok(digest)
    }

    /// Whether there is nothing in the directory yet.
    fn is_empty(&self) -> bool {
        self.snapshot.is_none() && self.replayed == 0
    }

    /// Whether a server that starts now should write a snapshot: Apache ZooKeeper wants one to start from, the next start
    /// has less to read, and what was deleted is in no log.
    pub(super) fn wants_snapshot(&self) -> bool {
        self.replayed > 0 || self.snapshot.is_none() || self.ended_nodes
    }

    /// Has the disk take what was read: whoever has written it may have died, or not waited for the disk, and what is served
    /// must not be lost with the power even if no new snapshot can be written.
    pub(super) fn make_durable(&self, files: &Files) -> Result<(), StorageError> {
        for file in self.snapshot.iter().chain(&self.logs) {
            files.disk.sync_file(file).map_err(|source| StorageError::io("sync", file, source))?;
        }
        files.sync_dirs()
    }

    /// Takes off what a crash has left of the last write.
    pub(super) fn cut_tail(&self, files: &Files) -> Result<(), StorageError> {
        let Some((file, offset, bytes)) = &self.torn else { return Ok(()) };
        log!(
        WARN,
                    log = %file.display(), bytes, zxid = %self.core.last_zxid(),
                    "the end of the log was being written when the server died, and is cut off; the last transaction is zxid"
                );
        log::cut(&*files.disk, file, *offset).map_err(|source| StorageError::io("cut", file, source))
    }
}
