//! A disk in memory that fails as real ones do, when a test says so.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fastrand::Rng;

use super::{Disk, DiskFile, Lock};
use crate::core::{Config, Now};
use crate::storage::{Files, Recovery, StorageError, recovery};

/// What a disk writes in one piece, or not at all.
const SECTOR: usize = 512;

/// A disk in memory for [`Builder::disk`](crate::Builder::disk): data directories without files, that can be full, fail,
/// and lose power.
///
/// It promises no more than POSIX and disks do: what was not synced when the power went is there, or not, or in part,
/// sector by sector and in any order; and a file's name is durable only once its directory has been synced.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), zk_mini::Error> {
/// use zk_mini::ZkMini;
/// use zk_mini::storage::SimulatedDisk;
///
/// let disk = SimulatedDisk::new(7);
/// let zk = ZkMini::builder().in_memory().data_dir("/data").disk(&disk).start().await?;
/// disk.lose_power();
/// drop(zk);
/// disk.restore_power();
/// let zk = ZkMini::builder().in_memory().data_dir("/data").disk(&disk).start().await?;
/// assert_eq!(zk.direct().last_zxid().0, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    files: Vec<Content>,
    names: BTreeMap<PathBuf, usize>,
    /// Where the names that are durable lead to.
    durable_names: BTreeMap<PathBuf, usize>,
    /// What has happened to names and is not durable, in order.
    unsynced_names: Vec<(PathBuf, Option<usize>)>,
    dirs: BTreeSet<PathBuf>,
    locked: BTreeSet<PathBuf>,
    rng: Rng,
    /// How often power came back. What was opened before leads nowhere.
    boots: u64,
    off: bool,
    /// Changes until the power goes by itself.
    power_left: Option<u64>,
    changes: u64,
    /// Changes until one fails.
    failing_in: Option<u64>,
    full: bool,
    read_only: bool,
    failing_syncs: bool,
}

/// A file, with or without a name.
#[derive(Debug, Default)]
struct Content {
    now: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Bytes(usize, Vec<u8>),
    Len(usize),
}

impl SimulatedDisk {
    /// An empty disk. What is lost with the power is drawn by the seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: Arc::new(Mutex::new(State { rng: Rng::with_seed(seed), ..State::default() })) }
    }

    /// The power goes: from now on everything fails.
    pub fn lose_power(&self) {
        self.lock_state().off = true;
    }

    /// The power goes at the `changes`-th change from now, and what that was to write is like all that was not synced.
    pub fn lose_power_after(&self, changes: u64) {
        self.lock_state().power_left = Some(changes);
    }

    /// The `changes`-th change from now fails, and is not made; those after it are.
    pub fn fail_after(&self, changes: u64) {
        self.lock_state().failing_in = Some(changes);
    }

    /// How many changes there have been: each write, sync, new length, new or other name.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.lock_state().changes
    }

    /// The files that there are, by name.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        self.lock_state().names.keys().cloned().collect()
    }

    /// Whether the power is gone.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.lock_state().off
    }

    /// The power is back: what was not synced is there, or not, or in part. Whoever wrote before the loss still fails.
    pub fn restore_power(&self) {
        let mut state = self.lock_state();
        state.lose_what_is_unsynced();
        state.boots += 1;
        state.locked.clear();
        (state.off, state.power_left, state.failing_in) = (false, None, None);
    }

    /// Whether nothing more fits: writes end half-way, with "no space left".
    pub fn set_full(&self, full: bool) {
        self.lock_state().full = full;
    }

    /// Whether it can only be read.
    pub fn set_read_only(&self, read_only: bool) {
        self.lock_state().read_only = read_only;
    }

    /// Whether syncs fail; what was to be synced may or may not become durable then.
    pub fn set_failing_syncs(&self, failing: bool) {
        self.lock_state().failing_syncs = failing;
    }

    /// As [`recover`](crate::storage::recover), from a directory on this disk, for a server that would be configured so.
    ///
    /// # Errors
    /// [`StorageError`] if the state cannot be told from the files.
    pub fn recover(
        &self,
        dir: &Path,
        log_dir: Option<&Path>,
        config: Config,
    ) -> Result<Recovery, StorageError> {
        let files = Files::new(Arc::new(self.mount()), dir, log_dir);
        recovery::recover_files(&files, None, Config { digests: true, ..config }, Now::default())
    }

    /// As those see it who use it until the power goes.
    pub(crate) fn mount(&self) -> Mounted {
        Mounted { disk: self.clone(), boot: self.lock_state().boots }
    }

    fn lock_state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn find(&self, file: &Path) -> io::Result<usize> {
        self.names.get(file).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn name(&mut self, file: &Path, content: Option<usize>) {
        bind(&mut self.names, file, content);
        self.unsynced_names.push((file.into(), content));
    }

    fn lose_what_is_unsynced(&mut self) {
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
            content.lose_what_is_unsynced(&mut self.rng);
        }
    }
}

fn bind(names: &mut BTreeMap<PathBuf, usize>, file: &Path, content: Option<usize>) {
    match content {
        Some(content) => drop(names.insert(file.into(), content)),
        None => drop(names.remove(file)),
    }
}

fn no_power() -> io::Error {
    io::Error::other("the disk has no power")
}

impl Content {
    fn make(&mut self, change: Change) {
        apply(&mut self.now, &change, |_| true);
        self.unsynced.push(change);
    }

    fn sync(&mut self) {
        self.unsynced.clear();
        self.durable.clone_from(&self.now);
    }

    fn lose_what_is_unsynced(&mut self, rng: &mut Rng) {
        // Often all or nothing, else sector by sector.
        let chance = [0.0, 0.5, 1.0][rng.usize(0..3)];
        for change in self.unsynced.drain(..) {
            let is_len = matches!(change, Change::Len(_));
            if !is_len || rng.f64() < chance {
                apply(&mut self.durable, &change, |_| rng.f64() < chance);
            }
        }
        self.now.clone_from(&self.durable);
    }
}

/// Applies a change, of bytes only those in sectors that are `kept`.
fn apply(content: &mut Vec<u8>, change: &Change, mut kept: impl FnMut(usize) -> bool) {
    match change {
        Change::Len(len) => content.resize(*len, 0),
        Change::Bytes(offset, bytes) => {
            let mut at = *offset;
            let end = offset + bytes.len();
            while at < end {
                let next = end.min((at / SECTOR + 1) * SECTOR);
                if kept(at / SECTOR) {
                    content.resize(content.len().max(next), 0);
                    content[at..next].copy_from_slice(&bytes[at - offset..next - offset]);
                }
                at = next;
            }
        }
    }
}

/// A disk since it last got its power.
#[derive(Clone, Debug)]
pub(crate) struct Mounted {
    disk: SimulatedDisk,
    boot: u64,
}

impl Mounted {
    /// The disk, as long as it has had its power all the time.
    fn live(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.lock_state();
        if state.off || state.boots != self.boot { Err(no_power()) } else { Ok(state) }
    }

    /// Makes a change, unless the power is gone.
    fn change<T>(&self, make: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.live()?;
        if state.read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        state.changes += 1;
        let fails = state.failing_in == Some(0);
        state.failing_in = state.failing_in.and_then(|left| left.checked_sub(1));
        if fails {
            return Err(io::Error::other("the disk has a bad moment"));
        }
        let goes_off = state.power_left == Some(0);
        state.power_left = state.power_left.and_then(|left| left.checked_sub(1));
        state.off = goes_off;
        // If it goes, a write may still leave its traces; a sync has not happened.
        let made = make(&mut state);
        drop(state);
        made.and_then(|made| if goes_off { Err(no_power()) } else { Ok(made) })
    }

    fn opened(&self, content: usize) -> Box<dyn DiskFile> {
        Box::new(SimulatedFile { disk: self.clone(), content })
    }
}

impl Disk for Mounted {
    fn create_dirs(&self, dir: &Path) -> io::Result<()> {
        let state = self.live()?;
        if dir.ancestors().all(|dir| state.dirs.contains(dir)) {
            return Ok(());
        }
        drop(state);
        self.change(|state| {
            state.dirs.extend(dir.ancestors().map(Path::to_path_buf));
            Ok(())
        })
    }

    fn canonical(&self, dir: &Path) -> io::Result<PathBuf> {
        Ok(dir.components().collect())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<(String, u64)>> {
        let state = self.live()?;
        if !state.dirs.contains(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inside = state.names.iter().filter(|(file, _)| file.parent() == Some(dir));
        let listed = inside.filter_map(|(file, content)| {
            Some((file.file_name()?.to_str()?.to_owned(), state.files[*content].now.len() as u64))
        });
        Ok(listed.collect())
    }

    fn read(&self, file: &Path) -> io::Result<Vec<u8>> {
        let state = self.live()?;
        Ok(state.files[state.find(file)?].now.clone())
    }

    fn read_start(&self, file: &Path, len: u64) -> io::Result<Vec<u8>> {
        let mut start = self.read(file)?;
        start.truncate(usize::try_from(len).map_err(io::Error::other)?);
        Ok(start)
    }

    fn create(&self, file: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.change(|state| {
            let content = match state.names.get(file) {
                Some(content) => {
                    let content = *content;
                    state.files[content].make(Change::Len(0));
                    content
                }
                None => {
                    if state.full {
                        return Err(io::ErrorKind::StorageFull.into());
                    }
                    state.files.push(Content::default());
                    let content = state.files.len() - 1;
                    state.name(file, Some(content));
                    content
                }
            };
            Ok(self.opened(content))
        })
    }

    fn create_private(&self, file: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.create(file)
    }

    fn open(&self, file: &Path) -> io::Result<Box<dyn DiskFile>> {
        let state = self.live()?;
        Ok(self.opened(state.find(file)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(|state| {
            let content = state.find(from)?;
            state.name(to, Some(content));
            state.name(from, None);
            Ok(())
        })
    }

    fn remove(&self, file: &Path) -> io::Result<()> {
        self.change(|state| {
            state.find(file)?;
            state.name(file, None);
            Ok(())
        })
    }

    fn sync_file(&self, file: &Path) -> io::Result<()> {
        self.open(file)?.sync()
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.change(|state| {
            state.syncs()?;
            let unsynced = std::mem::take(&mut state.unsynced_names);
            for (file, content) in unsynced {
                if file.parent() == Some(dir) {
                    bind(&mut state.durable_names, &file, content);
                } else {
                    state.unsynced_names.push((file, content));
                }
            }
            Ok(())
        })
    }

    fn lock(&self, file: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        self.change(|state| {
            let is_free = state.locked.insert(file.into());
            let lock = || SimulatedLock { disk: self.clone(), file: file.into() };
            Ok(is_free.then(|| Box::new(lock()) as _))
        })
    }
}

impl State {
    /// Whether syncs work, and the power is on until their end.
    fn syncs(&self) -> io::Result<()> {
        if self.failing_syncs {
            Err(io::Error::other("the disk does not sync"))
        } else if self.off {
            Err(no_power())
        } else {
            Ok(())
        }
    }
}

#[derive(Debug)]
struct SimulatedFile {
    disk: Mounted,
    content: usize,
}

impl SimulatedFile {
    fn change(&self, make: impl FnOnce(&mut State, usize) -> io::Result<()>) -> io::Result<()> {
        self.disk.change(|state| make(state, self.content))
    }
}

impl DiskFile for SimulatedFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let at = usize::try_from(offset).map_err(io::Error::other)?;
        self.change(|state, content| {
            let fits = if state.full { bytes.len() / 2 } else { bytes.len() };
            state.files[content].make(Change::Bytes(at, bytes[..fits].to_vec()));
            if state.full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        })
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(io::Error::other)?;
        self.change(|state, content| {
            state.files[content].make(Change::Len(len));
            Ok(())
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        self.change(|state, content| {
            state.syncs()?;
            state.files[content].sync();
            Ok(())
        })
    }

    fn is_at(&self, file: &Path) -> io::Result<bool> {
        Ok(self.disk.live()?.find(file).ok() == Some(self.content))
    }
}

#[derive(Debug)]
struct SimulatedLock {
    disk: Mounted,
    file: PathBuf,
}

/// Nobody reads its file.
impl Lock for SimulatedLock {
    fn note(&self, _content: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for SimulatedLock {
    fn drop(&mut self) {
        // Without power there is nothing to unlock.
        if let Ok(mut state) = self.disk.live() {
            state.locked.remove(&self.file);
        }
    }
}
