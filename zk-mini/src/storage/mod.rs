//! The state on disk, in Apache ZooKeeper's own format: a directory can be handed over to it, and back.
//!
//! `version-2/snapshot.ZXID` is the state after that transaction, `version-2/log.ZXID` the transactions from that
//! one on. A start reads the newest valid snapshot and the logs behind it, writes a snapshot of its own, and begins a
//! new log with its first transaction. Nothing here knows a rule of the protocol.

mod error;
mod files;
mod log;
mod recovery;
mod snapshot;
mod txn;

pub use error::StorageError;
pub use recovery::{Recovery, recover};

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::BytesMut;
use zk_wire::Zxid;

use crate::core::{Config, Core, Image, Txn};
pub(crate) use files::Files;
use log::LogFile;

/// When a transaction counts as kept.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum SyncMode {
    /// When the disk has it: one sync for each.
    Always,
    /// When the disk has it: one sync for all that wait. They wait no longer for it.
    #[default]
    Group,
    /// When the system has it. It survives the end of the process, not that of the machine.
    None,
}

/// How a server keeps its state.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) dir: PathBuf,
    /// Where the logs are, if not with the snapshots.
    pub(crate) log_dir: Option<PathBuf>,
    pub(crate) sync: SyncMode,
    /// How many snapshots are kept, with the logs behind them; `None` is all.
    pub(crate) retain: Option<usize>,
    /// Transactions until the next snapshot.
    pub(crate) snap_count: u64,
}

/// A data directory that is being written. One owner at a time.
#[derive(Debug)]
pub(crate) struct Store {
    snapshots: Snapshots,
    sync: SyncMode,
    log: Option<LogFile>,
    buffer: BytesMut,
    /// The last transaction that is durable.
    last: Zxid,
    since_snapshot: u64,
    snap_count: u64,
    _lock: File,
}

impl Store {
    /// Opens a directory, or makes one, and brings back what it has.
    pub(crate) fn open(settings: &Settings, config: Config) -> Result<(Core, Self), StorageError> {
        let files = Files::new(&settings.dir, settings.log_dir.as_deref());
        files.create_dirs()?;
        let lock = lock(&settings.dir)?;
        let recovery = recovery::recover_files(&files, config)?;
        recovery.cut_tail()?;
        let store = Self {
            snapshots: Snapshots { files: Arc::new(files), retain: settings.retain },
            sync: settings.sync,
            log: None,
            buffer: BytesMut::new(),
            last: recovery.core.last_zxid(),
            since_snapshot: 0,
            snap_count: settings.snap_count,
            _lock: lock,
        };
        // Apache ZooKeeper wants one to start from, and the next start has less to read.
        if recovery.replayed > 0 || recovery.snapshot.is_none() {
            let file = store.snapshots.files.snapshot(store.last);
            let written = store.snapshots.write(&recovery.core.image());
            written.map_err(|source| StorageError::io("write", &file, source))?;
        }
        tracing::info!(
            dir = %settings.dir.display(), zxid = %recovery.core.last_zxid(), nodes = recovery.core.node_count(),
            sessions = recovery.core.session_count(), replayed = recovery.replayed, "state restored"
        );
        Ok((recovery.core, store))
    }

    /// Makes transactions durable, in order. If that fails all of them may be given again: what is durable already is
    /// not written twice.
    pub(crate) fn append<'a>(&mut self, txns: impl IntoIterator<Item = &'a Txn>) -> io::Result<()> {
        self.buffer.clear();
        let mut last = self.last;
        for txn in txns {
            if txn.zxid <= last {
                continue;
            }
            if self.log.is_none() {
                self.log = Some(LogFile::create(self.snapshots.files.log(txn.zxid))?);
                self.snapshots.files.sync_log_dir()?;
            }
            log::put(txn, &mut self.buffer);
            last = txn.zxid;
            self.since_snapshot += 1;
            if self.sync == SyncMode::Always {
                self.flush(last)?;
            }
        }
        self.flush(last)
    }

    /// Writes what is in the buffer, up to this transaction.
    fn flush(&mut self, last: Zxid) -> io::Result<()> {
        let Some(log) = self.log.as_mut().filter(|_| !self.buffer.is_empty()) else { return Ok(()) };
        log.append(&self.buffer, self.sync != SyncMode::None)?;
        self.buffer.clear();
        self.last = last;
        Ok(())
    }

    /// Whether it is time for a snapshot.
    pub(crate) fn wants_snapshot(&self) -> bool {
        self.since_snapshot >= self.snap_count
    }

    /// Begins a new log with the next transaction; a snapshot of the state up to here is to follow.
    pub(crate) fn roll(&mut self) -> io::Result<()> {
        self.since_snapshot = 0;
        match self.log.take() {
            Some(log) => log.finish(),
            None => Ok(()),
        }
    }

    /// Who writes snapshots, beside this.
    pub(crate) fn snapshots(&self) -> Snapshots {
        self.snapshots.clone()
    }

    /// Its files, for whoever wants to know about them.
    pub(crate) fn files(&self) -> Arc<Files> {
        Arc::clone(&self.snapshots.files)
    }

    /// Where it writes; for messages.
    pub(crate) fn place(&self) -> &Path {
        self.log.as_ref().map_or(self.snapshots.files.dir(), LogFile::path)
    }
}

/// Writes snapshots.
#[derive(Clone, Debug)]
pub(crate) struct Snapshots {
    files: Arc<Files>,
    retain: Option<usize>,
}

impl Snapshots {
    /// Writes one, and deletes those that are too many.
    pub(crate) fn write(&self, image: &Image) -> io::Result<()> {
        snapshot::write(&self.files.snapshot(image.last_zxid), image)?;
        self.files.sync_dir()?;
        self.retain.map_or(Ok(()), |retain| self.files.purge(retain))
    }
}

/// A clean end: the log is as long as what is in it.
impl Drop for Store {
    fn drop(&mut self) {
        if let Some(log) = self.log.take()
            && let Err(error) = log.finish()
        {
            tracing::warn!(%error, log = %log.path().display(), "the log keeps the zeros at its end");
        }
    }
}

fn lock(dir: &Path) -> Result<File, StorageError> {
    let path = dir.join("zk-mini.lock");
    let failed = |what, source| StorageError::io(what, &path, source);
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(|source| failed("open", source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StorageError::Locked { dir: dir.into() }),
        Err(TryLockError::Error(source)) => Err(failed("lock", source)),
    }
}

/// What the name of a compressed snapshot ends in.
const COMPRESSED: [&str; 2] = [".gz", ".snappy"];

/// The number in the name of a log or a snapshot.
fn zxid_in(name: &str, kind: &str) -> Option<Zxid> {
    let rest = name.strip_prefix(kind)?.strip_prefix('.')?;
    let digits = COMPRESSED.iter().find_map(|suffix| rest.strip_suffix(suffix)).unwrap_or(rest);
    u64::from_str_radix(digits, 16).ok().map(|n| Zxid(n.cast_signed()))
}

fn list(dir: &Path, kind: &str) -> Result<Vec<(Zxid, PathBuf)>, StorageError> {
    let failed = |source| StorageError::io("read", dir, source);
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if let Some(zxid) = entry.file_name().to_str().and_then(|name| zxid_in(name, kind)) {
            found.push((zxid, entry.path()));
        }
    }
    found.sort_unstable();
    Ok(found)
}
