//! A data directory that a server writes.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::BytesMut;
use zk_wire::Zxid;

use super::disk::Lock;
use super::error::StorageError;
use super::files::Files;
use super::log::{self, LogFile};
use super::owner;
use super::recovery;
use super::secret;
use super::settings::{Settings, SyncMode};
use super::snapshots::Snapshots;
use super::tail::MAX_UNSYNCED;
use crate::core::{Compat, Config, Core, Image, Now, Txn};

/// Number of nodes above which a start does not wait for a snapshot that only the next start profits from.
const MANY: usize = 10_000;

/// A data directory that is being written, by one owner at a time.
#[derive(Debug)]
pub(crate) struct Store {
    snapshots: Snapshots,
    config: Config,
    sync: SyncMode,
    log: Option<LogFile>,
    /// Zxid of the last transaction that was appended.
    last: Zxid,
    buffer: BytesMut,
    since_snapshot: u64,
    snap_count: u64,
    /// Number of nodes of a snapshot that are to be copied in one step.
    pub(crate) snap_step: usize,
    pre_alloc_size: u64,
    _locks: Vec<Box<dyn Lock>>,
}

impl Store {
    /// Opens a directory, or makes one, and restores its state. Sessions begin their timeouts at `now`.
    pub(crate) fn open(
        dir: &Path,
        settings: Settings,
        config: Config,
        now: Now,
    ) -> Result<(Core, Self), StorageError> {
        let Settings { device, log_dir, sync, retain, snap_count, snap_step, pre_alloc_size, new_secret } =
            settings;
        let files = Files::new(device.mount(), dir, log_dir.as_deref());
        files.check_outer()?;
        files.create_dirs()?;
        let locks = owner::take(&files)?;
        files.remove_unfinished();
        let session_secret = new_secret.map(|new| secret::keep(&files, new)).transpose()?;
        let config = Config { session_secret, ..config };
        let recovery = recovery::recover_durably(&files, config.clone(), now)?;
        recovery.cut_tail(&files)?;
        owner::note_logs(&files, &locks)?;
        let mut store = Self {
            snapshots: Snapshots {
                files: Arc::new(files),
                retain,
                unsynced: None,
                processed: config.compat == Compat::V3_9,
            },
            config,
            sync,
            log: None,
            last: recovery.core.last_zxid(),
            buffer: BytesMut::new(),
            since_snapshot: 0,
            snap_count,
            snap_step,
            pre_alloc_size,
            _locks: locks,
        };
        if recovery.wants_snapshot() {
            if !recovery.needs_snapshot() && recovery.core.node_count() > MANY {
                // Clients do not wait for it: it is taken while they are served.
                store.since_snapshot = snap_count;
            } else if let Err(error) = store.snapshots.write(&recovery.core.image()) {
                if recovery.needs_snapshot() {
                    return Err(error);
                }
                log!(ERROR, %error, "no snapshot: the logs are kept");
            }
        }
        let last = store.last;
        log!(INFO,
            dir = %dir.display(), zxid = %last, nodes = recovery.core.node_count(),
            sessions = recovery.core.session_count(), replayed = recovery.replayed, "state restored"
        );
        Ok((recovery.core, store))
    }

    /// Appends transactions and makes them durable, in order. After a failure some of them may be durable:
    /// [`go_back`](Self::go_back) tells which.
    pub(crate) fn append<'a>(&mut self, txns: impl IntoIterator<Item = &'a Txn>) -> io::Result<()> {
        self.buffer.clear();
        for txn in txns {
            if self.log.is_none() {
                self.begin_log()?;
            }
            if self.sync == SyncMode::Always {
                self.flush()?;
            }
            let before = self.buffer.len();
            self.put(txn)?;
            if self.buffer.len() > MAX_UNSYNCED && before > 0 {
                // It belongs to the next sync, and its mark must show that this one came before.
                self.buffer.truncate(before);
                self.flush()?;
                self.put(txn)?;
            }
            self.last = txn.zxid;
            self.since_snapshot += 1;
        }
        self.flush()
    }

    fn put(&mut self, txn: &Txn) -> io::Result<()> {
        let durable = self.log.as_ref().map_or(log::HEADER, LogFile::durable);
        log::put(txn, durable, &mut self.buffer).map_err(io::Error::other)
    }

    /// Begins a log. Its name is the next zxid, even if the transaction has skipped some: that says that no
    /// transaction is missing before it.
    fn begin_log(&mut self) -> io::Result<()> {
        let files = &self.snapshots.files;
        let log = LogFile::create(&*files.disk, files.log(self.last.next()), self.pre_alloc_size)?;
        // The name must be durable before anything is written.
        files.sync_log_dir()?;
        self.log = Some(log);
        Ok(())
    }

    /// Writes the buffer.
    fn flush(&mut self) -> io::Result<()> {
        let Some(log) = self.log.as_mut().filter(|_| !self.buffer.is_empty()) else { return Ok(()) };
        log.append(&self.buffer, self.sync != SyncMode::None)?;
        self.buffer.clear();
        Ok(())
    }

    /// Returns the durable state, after a failure. Only reads.
    pub(crate) fn go_back(&mut self, now: Now) -> Result<Core, StorageError> {
        if let Some(log) = &self.log
            && !log.is_there().map_err(|source| StorageError::io("find", log.path(), source))?
        {
            // Without the log, an older state would be served.
            return Err(StorageError::Gone { file: log.path().into() });
        }
        let open = self.log.as_ref().map(|log| (log.path(), log.end()));
        let core =
            recovery::recover_files(&self.snapshots.files, open, self.config.clone(), now, &|_| ())?.core;
        self.last = core.last_zxid();
        Ok(core)
    }

    /// Checks, after a failure, that the disk can be written again. If so, the failed appends have been cut off.
    pub(crate) fn try_again(&mut self) -> io::Result<()> {
        if let Some(log) = &mut self.log {
            log.trim()?;
        }
        self.snapshots.files.try_room()
    }

    /// Begins anew with another state: a snapshot of it, and a log behind that. When this returns, it is durable. The files of
    /// before stay, as far as old snapshots are kept.
    pub(crate) fn exchange(&mut self, image: &Image) -> io::Result<()> {
        self.roll()?;
        self.snapshots().write(image).map_err(io::Error::other)?;
        self.last = image.last_zxid;
        Ok(())
    }

    /// Loses the transactions that are not durable, and returns the state without them.
    pub(crate) fn lose_unsynced(&mut self, now: Now) -> Result<Core, StorageError> {
        if let Some(log) = &mut self.log {
            log.lose_unsynced().map_err(|source| StorageError::io("cut", log.path(), source))?;
        }
        self.go_back(now)
    }

    /// Returns true if it is time for a snapshot.
    pub(crate) fn wants_snapshot(&self) -> bool {
        self.since_snapshot >= self.snap_count
    }

    /// Ends the log; the next transaction begins a new one. A snapshot of the state up to here is to follow.
    pub(crate) fn roll(&mut self) -> io::Result<()> {
        self.since_snapshot = 0;
        match self.log.take() {
            Some(mut log) => log.trim(),
            None => Ok(()),
        }
    }

    /// Returns a writer of snapshots, which works beside this.
    pub(crate) fn snapshots(&self) -> Snapshots {
        let unsynced = self.log.as_ref().filter(|_| self.sync == SyncMode::None).map(LogFile::unsynced);
        Snapshots { unsynced, ..self.snapshots.clone() }
    }

    /// Returns the files of the directory.
    pub(crate) fn files(&self) -> Arc<Files> {
        Arc::clone(&self.snapshots.files)
    }

    /// Returns the log, or the directory without one, for messages.
    pub(crate) fn place(&self) -> &Path {
        self.log.as_ref().map_or(self.snapshots.files.dir(), LogFile::path)
    }
}

/// Ends the log cleanly: it becomes as long as its content.
impl Drop for Store {
    fn drop(&mut self) {
        if let Some(mut log) = self.log.take()
            && let Err(error) = log.trim()
        {
            log!(WARN, %error, log = %log.path().display(), "the log keeps the zeros at its end");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use zk_wire::{Millis, SessionId, UnixMillis, Xid};

    use super::super::disk::{Device, Disk, SimulatedDisk};
    use super::*;
    use crate::core::Change;

    const DIR: &str = "/data";
    const LOG_DIR: &str = "/logs";

    fn open(disk: &SimulatedDisk) -> Result<Store, StorageError> {
        let settings = Settings {
            device: Device::Simulated(disk.clone()),
            log_dir: Some(LOG_DIR.into()),
            retain: Some(1),
            pre_alloc_size: 1_024,
            ..Settings::default()
        };
        Ok(Store::open(Path::new(DIR), settings, Config::default(), Now::default())?.1)
    }

    fn session(n: i64) -> Txn {
        let change = Change::CreateSession { timeout: Millis(4_000) };
        let (zxid, time, session, xid) = (Zxid(n), UnixMillis(n), SessionId(n), Xid(0));
        Txn { zxid, time, session, xid, change, digest: None }
    }

    /// Returns a disk with a snapshot and the logs around it, all of them unsynced.
    fn left_by_another(seed: u64) -> io::Result<SimulatedDisk> {
        let (ours, others) = (SimulatedDisk::new(0), SimulatedDisk::new(seed));
        for n in 1..=3 {
            open(&ours).map_err(io::Error::other)?.append([&session(n)])?;
        }
        for file in ours.files() {
            others.mount().create(&file)?.write_at(0, &ours.mount().read(&file)?)?;
        }
        Ok(others)
    }

    #[test]
    fn a_start_that_can_write_no_snapshot_syncs_the_files_it_has_read() -> io::Result<()> {
        for seed in 0..20 {
            let disk = left_by_another(seed)?;
            let files = ["/data/version-2/snapshot.2", "/logs/version-2/log.2", "/logs/version-2/log.3"];
            assert_eq!(disk.files(), files.map(PathBuf::from));
            disk.set_full(true);
            let serving = open(&disk).map_err(io::Error::other)?;
            disk.lose_power();
            drop(serving);
            disk.restore_power();
            let left = disk
                .recover(Path::new(DIR), Some(Path::new(LOG_DIR)), Config::default())
                .map_err(io::Error::other)?;
            assert_eq!(left.core.last_zxid(), Zxid(3), "with seed {seed}");
            assert_eq!(left.core.sessions().len(), 3, "with seed {seed}");
        }
        Ok(())
    }

    #[test]
    fn a_start_that_cannot_sync_a_file_that_it_has_read_is_refused() -> io::Result<()> {
        let disk = left_by_another(1)?;
        disk.set_failing_syncs(true);
        let refused = open(&disk).map(|store| store.last).map_err(|error| error.to_string());
        let names = |error: &String| error.contains("sync") && error.contains("snapshot.2");
        assert!(refused.as_ref().is_err_and(names), "{refused:?}");
        disk.set_failing_syncs(false);
        assert_eq!(open(&disk).map_err(io::Error::other)?.last, Zxid(3));
        Ok(())
    }

    /// Returns a disk with a log whose last record lacks its end.
    fn torn(full: bool) -> Result<SimulatedDisk, StorageError> {
        let disk = SimulatedDisk::new(0);
        let io = |source| StorageError::io("prepare", Path::new(LOG_DIR), source);
        let mut store = open(&disk)?;
        for n in 1..=2 {
            store.append([&session(n)]).map_err(io)?;
        }
        drop(store);
        let log = Path::new("/logs/version-2/log.1");
        let end = disk.mount().read(log).map_err(io)?.len() as u64 - 1;
        disk.mount().open(log).and_then(|mut log| log.set_len(end)).map_err(io)?;
        disk.set_full(full);
        Ok(disk)
    }

    #[test]
    fn a_torn_end_is_kept_in_a_side_file_or_stays_if_the_disk_is_full() -> Result<(), StorageError> {
        let side = PathBuf::from("/logs/version-2/zk-mini.cut.log.1.from-byte-73");
        let disk = torn(false)?;
        assert_eq!(open(&disk)?.last, Zxid(1));
        assert!(disk.files().contains(&side), "{:?}", disk.files());
        let disk = torn(true)?;
        let mut store = open(&disk)?;
        assert!(!disk.files().contains(&side), "{:?}", disk.files());
        disk.set_full(false);
        let io = |source| StorageError::io("append", Path::new(LOG_DIR), source);
        store.append([&session(2)]).map_err(io)?;
        drop(store);
        assert_eq!(open(&disk)?.last, Zxid(2), "the next log goes on where it was torn");
        Ok(())
    }
}
