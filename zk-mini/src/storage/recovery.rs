//! Recovery: reads the files of a data directory back into a state.

use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;

use zk_wire::Zxid;

use super::ahead::read_ahead;
use super::disk::{Disk, SimulatedDisk, SystemDisk};
use super::error::{Loss, StorageError};
use super::files::Files;
use super::log::{self, Logged, Tail};
use super::side;
use super::snapshot::{self, Snapshot};
use crate::core::{Config, Core, Image, Now, Restoration};

/// Contents of a data directory.
#[derive(Debug)]
pub struct Recovery {
    /// The state. Every session has its full timeout left.
    pub core: Core,
    /// Snapshot that the state begins with; `None` in a new directory.
    pub snapshot: Option<PathBuf>,
    /// Logs that were read behind it.
    pub logs: Vec<PathBuf>,
    /// Number of transactions that were read behind it.
    pub replayed: u64,
    /// Log that ends with part of a record, usually after a crash, with the offset and number of bytes of that part.
    /// After other damage, the bytes may have been transactions. `None` for a log that has only been begun.
    pub torn: Option<(PathBuf, u64, u64)>,
    /// Snapshots that were passed over because of their damage.
    pub damaged: Vec<StorageError>,
    /// True if nodes without a session were deleted.
    pub ended_nodes: bool,
    /// True if the state has the digest that its writer noted; `None` if it noted none.
    pub verified: Option<bool>,
    /// Longest record in the logs that Apache ZooKeeper would read.
    pub longest: Option<LongRecord>,
}

/// Place and length of a record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LongRecord {
    /// Log of the record.
    pub file: PathBuf,
    /// Offset of the record.
    pub offset: u64,
    /// Length of the record, without checksum, length and mark.
    pub bytes: usize,
}

/// Reads a data directory and changes nothing, also if a server runs on it.
///
/// # Errors
/// [`StorageError`] if it is not a data directory, or its files do not give a state.
pub fn recover(dir: &Path, log_dir: Option<&Path>) -> Result<Recovery, StorageError> {
    let files = Files::new(Arc::new(SystemDisk), dir, log_dir);
    files.check_there()?;
    let config = Config { digests: true, ..Config::default() };
    let mut recovery = recover_files(&files, None, config, Now::default(), &|_| ())?;
    recovery.measure_log_before(&files)?;
    Ok(recovery)
}

impl SimulatedDisk {
    /// Reads a directory on this disk as [`recover`](recover()) does, for a server of this
    /// configuration.
    ///
    /// # Errors
    /// [`StorageError`] if the files do not give a state.
    pub fn recover(
        &self,
        dir: &Path,
        log_dir: Option<&Path>,
        config: Config,
    ) -> Result<Recovery, StorageError> {
        let files = Files::new(Arc::new(self.mount()), dir, log_dir);
        recover_files(&files, None, Config { digests: true, ..config }, Now::default(), &|_| ())
    }
}

/// Reads a data directory, and syncs the files that it reads: their writer may have died, or not waited for the disk, and the
/// served state must not be lost with the power even if no snapshot can be written. The disk writes while the next file is read.
pub(super) fn recover_durably(files: &Files, config: Config, now: Now) -> Result<Recovery, StorageError> {
    thread::scope(|scope| {
        let (used, to_sync) = channel::<PathBuf>();
        let sync = move || {
            to_sync.iter().try_for_each(|file| {
                files.disk.sync_file(&file).map_err(|source| StorageError::io("sync", &file, source))
            })
        };
        let syncing = thread::Builder::new()
            .spawn_scoped(scope, sync)
            .map_err(|source| StorageError::io("start a thread to sync", files.dir(), source))?;
        // After a failure nothing more is synced: the result tells of it.
        let recovery = recover_files(files, None, config, now, &|file| drop(used.send(file.into())));
        drop(used);
        let synced = syncing.join().unwrap_or_else(|panic| resume_unwind(panic));
        let recovery = recovery?;
        synced.and_then(|()| files.sync_dirs())?;
        Ok(recovery)
    })
}

/// Reads a data directory. Only this many bytes of the `open` log are read. Sessions begin their timeouts at `now`. Calls `uses`
/// for the files that the state comes from, for logs before they are read.
pub(super) fn recover_files(
    files: &Files,
    open: Option<(&Path, u64)>,
    config: Config,
    now: Now,
    uses: &dyn Fn(&Path),
) -> Result<Recovery, StorageError> {
    let disk = &*files.disk;
    files.check_places()?;
    let Newest { core, file, told, shown, mut damaged } = newest_snapshot(files, config, now)?;
    file.as_deref().into_iter().for_each(uses);
    let logs = files.logs()?;
    // Without a snapshot the logs must begin with the first transaction.
    if let (None, Some((first, _))) = (&file, logs.first().filter(|(first, _)| *first != Zxid(1))) {
        return Err(StorageError::NoSnapshot { dir: files.dir().into(), first: *first });
    }
    files.check_names(&logs)?;
    // If the snapshot shows nothing of the transaction in its name, the log with that transaction may verify the
    // name.
    let named = core.last_zxid();
    let to_verify = file.clone().filter(|_| told.is_none() && shown < named);
    let from = named.0 + i64::from(to_verify.is_none());
    let from = logs.iter().rposition(|(first, _)| first.0 <= from);
    let logs = &logs[from.unwrap_or(0)..];
    let mut recovery = Recovery {
        core,
        snapshot: file,
        logs: Vec::new(),
        replayed: 0,
        torn: None,
        damaged: Vec::new(),
        verified: None,
        ended_nodes: false,
        longest: None,
    };
    logs.iter().for_each(|(_, log)| uses(log));
    let digest = recovery.replay(disk, logs, open, to_verify.as_deref(), now)?;
    recovery.verified = digest.map(|digest| Some(digest) == recovery.core.digest());
    if recovery.verified == Some(false) {
        let zxid = recovery.core.last_zxid();
        log!(WARN, %zxid, "the digest in the log is not that of the state: something has been lost or changed");
    }
    let last = recovery.core.last_zxid();
    if let Some(lost) = damaged.iter().position(|(zxid, _)| *zxid > last || recovery.is_empty()) {
        return Err(StorageError::Lost { damage: Box::new(damaged.swap_remove(lost).1), last });
    }
    if let Some(file) = recovery.snapshot.clone().filter(|_| shown > last) {
        return Err(StorageError::Ahead { file, shown, last });
    }
    recovery.damaged = damaged.into_iter().map(|(_, error)| error).collect();
    recovery.ended_nodes = recovery.core.recovered(now);
    match recovery.core.without_acl() {
        Some(node) => Err(StorageError::NoAcl { dir: files.dir().into(), node: node.to_string() }),
        None => Ok(recovery),
    }
}

/// State of the newest whole snapshot, and the damage of newer ones.
struct Newest {
    core: Core,
    /// `None` if there is no whole snapshot.
    file: Option<PathBuf>,
    told: Option<Zxid>,
    shown: Zxid,
    damaged: Vec<(Zxid, StorageError)>,
}

fn newest_snapshot(files: &Files, config: Config, now: Now) -> Result<Newest, StorageError> {
    let mut damaged = Vec::new();
    for (zxid, file) in files.snapshots()?.into_iter().rev() {
        let mut restoration = Restoration::new(config.clone());
        let read = |each: &mut dyn FnMut(_)| snapshot::read(&*files.disk, &file, zxid, each);
        let read = read_ahead(read, |node| restoration.add(node))
            .map_err(|source| StorageError::io("start a thread to read", &file, source))?;
        match read {
            Ok(Snapshot { image, told, shown }) => {
                let core = restoration.end(now, image);
                return Ok(Newest { core, file: Some(file), told, shown, damaged });
            }
            Err(error @ StorageError::Snapshot { .. }) => {
                log!(WARN, %error, "a damaged snapshot is passed over");
                damaged.push((zxid, error));
            }
            // The snapshot may be whole, and the logs behind it deleted.
            Err(error) => return Err(error),
        }
    }
    let core = Core::restore(config, now, Image::default());
    Ok(Newest { core, file: None, told: None, shown: Zxid::default(), damaged })
}

/// Returns true if a zxid is the next one. The first of an epoch, which an ensemble counts in, follows any.
fn follows(next: Zxid, last: Zxid) -> bool {
    next == last.next() || is_of_a_later_epoch(next, last)
}

fn is_of_a_later_epoch(next: Zxid, last: Zxid) -> bool {
    next.0 >> 32 > last.0 >> 32
}

/// Fit of a log to the files before it, as far as it is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Joint {
    Sound,
    /// Zxids are missing before the name of the log. Apache ZooKeeper skips one now and then; the digest of the first
    /// transaction must show that nothing else is missing.
    Open,
    /// Zxids are missing behind the name of the log: the next digest must not show that more is missing.
    Skipped,
    Broken,
}

impl Joint {
    /// Returns the fit after a transaction, the first of the log or a later one. `said` is the digest in the
    /// transaction, `digest` that of the state.
    fn after(self, is_first: bool, said: Option<u64>, digest: Option<u64>) -> Self {
        match (self, said) {
            (Self::Open, said) if is_first && (said.is_none() || said != digest) => Self::Broken,
            (Self::Open, _) if is_first => Self::Sound,
            (Self::Skipped, Some(_)) if said == digest => Self::Sound,
            (Self::Skipped, Some(_)) => Self::Broken,
            (joint, _) => joint,
        }
    }
}

impl Recovery {
    /// Applies the transactions of successive logs. Returns the digest in the last one. A snapshot `to_verify` is
    /// compared with the digest of the transaction in its name.
    fn replay(
        &mut self,
        disk: &dyn Disk,
        logs: &[(Zxid, PathBuf)],
        open: Option<(&Path, u64)>,
        to_verify: Option<&Path>,
        now: Now,
    ) -> Result<Option<u64>, StorageError> {
        let named = self.core.last_zxid();
        // A write has a digest for its last transaction only.
        let mut digest = None;
        for (first, file) in logs {
            let last = self.core.last_zxid();
            let mut joint = self.joint_with(*first)?;
            let limit = open.filter(|(open, _)| open == file).map(|(_, limit)| limit);
            let (core, mut is_first) = (&mut self.core, true);
            let tail = log::read(disk, file, limit, |Logged { txn, offset, len }| {
                measure(&mut self.longest, file, offset, len);
                if txn.zxid == named
                    && last == named
                    && let (Some(snapshot), Some(_)) = (to_verify, txn.digest)
                    && txn.digest != core.digest()
                {
                    let reason = format!("its tree is not the tree after transaction {named}");
                    return Err(StorageError::Misnamed { file: snapshot.into(), reason });
                }
                if txn.zxid <= core.last_zxid() {
                    return Ok(());
                }
                if is_first && joint == Joint::Sound && !follows(txn.zxid, last) {
                    joint = Joint::Skipped;
                }
                digest = txn.digest;
                core.replay(now, txn);
                joint = joint.after(is_first, digest, core.digest());
                is_first = false;
                self.replayed += 1;
                Ok(())
            })?;
            if matches!(joint, Joint::Open | Joint::Broken) {
                return Err(StorageError::Gap { file: file.clone(), last });
            }
            self.logs.push(file.clone());
            // Only the end of the last log matters: before further logs Apache ZooKeeper leaves such an end, and goes
            // on with the next zxid in the next log.
            self.torn = match tail {
                Tail::Whole => None,
                Tail::Torn { offset, bytes } => Some((file.clone(), offset, bytes)),
            };
        }
        Ok(digest)
    }

    /// Returns the fit of the log of this zxid to the transactions that have been read.
    fn joint_with(&mut self, first: Zxid) -> Result<Joint, StorageError> {
        let last = self.core.last_zxid();
        let torn = self.torn.take();
        if first <= last.next() {
            return Ok(Joint::Sound);
        }
        match torn {
            // The bytes there were a transaction.
            Some((file, offset, bytes)) if !is_of_a_later_epoch(first, last) => Err(StorageError::Log {
                file,
                offset,
                reason: format!(
                    "it ends inside a record, and the next log does not go on there, but with {first}"
                ),
                loss: Loss { bytes, transactions: 0, last: None },
            }),
            None if follows(first, last) => Ok(Joint::Sound),
            _ => Ok(Joint::Open),
        }
    }

    /// Returns true if the directory has no data yet.
    fn is_empty(&self) -> bool {
        self.snapshot.is_none() && self.replayed == 0
    }

    /// Looks for the longest record also in the log before those that were read: Apache ZooKeeper reads it, too.
    fn measure_log_before(&mut self, files: &Files) -> Result<(), StorageError> {
        let logs = files.logs()?;
        let read = logs.iter().position(|(_, file)| Some(file) == self.logs.first());
        if let Some((_, file)) = read.and_then(|read| read.checked_sub(1)).and_then(|before| logs.get(before))
        {
            let longest = &mut self.longest;
            // Damage in it does not matter.
            let _ = log::read(&*files.disk, file, None, |Logged { offset, len, .. }| {
                measure(longest, file, offset, len);
                Ok(())
            });
        }
        Ok(())
    }

    /// Returns true if a start has to write a snapshot. Apache ZooKeeper needs one to start from, and nodes that were
    /// deleted here are still in the logs, and would be back after the next start.
    pub(super) fn needs_snapshot(&self) -> bool {
        self.snapshot.is_none() || self.ended_nodes
    }

    /// Returns true if a snapshot gives the next start less to read.
    pub(super) fn wants_snapshot(&self) -> bool {
        self.needs_snapshot() || self.replayed > 0
    }

    /// Cuts off the part of a record that a crash has left, and keeps it in a side file. Returns that file.
    pub(super) fn cut_tail(&self, files: &Files) -> Result<Option<PathBuf>, StorageError> {
        let Some((file, offset, bytes)) = &self.torn else { return Ok(None) };
        let (log, zxid) = (file.display(), self.core.last_zxid());
        match side::cut(&*files.disk, file, *offset) {
            Ok(None) => Ok(None),
            Ok(Some(side)) => {
                log!(WARN,
                    %log, byte = offset, bytes, kept_in = %side.display(), last = %zxid,
                    "the log ends in a part of a write, as a crash leaves it; no client was told of that write, and it is cut off"
                );
                Ok(Some(side))
            }
            // The next log is another file, and nothing is missing between the two.
            Err(error) if *offset > log::HEADER => {
                log!(ERROR, %error, %log, byte = offset, bytes, "the log keeps the part of a write that a crash has left");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

fn measure(longest: &mut Option<LongRecord>, file: &Path, offset: u64, bytes: usize) {
    if longest.as_ref().is_none_or(|longest| longest.bytes < bytes) {
        *longest = Some(LongRecord { file: file.into(), offset, bytes });
    }
}
