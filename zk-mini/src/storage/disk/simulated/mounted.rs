//! A simulated disk in use, until its power goes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zk_wire::UnixMillis;

use super::content::{Content, ContentChange};
use super::state::{DiskState, bind, no_power};
use crate::storage::disk::seam::{Disk, DiskFile, Lock};

/// A disk since its power came last.
#[derive(Clone, Debug)]
pub(crate) struct Mounted {
    pub(super) state: Arc<Mutex<DiskState>>,
    pub(super) boot: u64,
}

impl Mounted {
    /// Returns the state, unless the power has gone since.
    fn live(&self) -> io::Result<MutexGuard<'_, DiskState>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.off || state.boots != self.boot { Err(no_power()) } else { Ok(state) }
    }

    /// Makes a change, unless the power is off.
    fn change<T>(&self, make: impl FnOnce(&mut DiskState) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.live()?;
        if state.read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        state.changes += 1;
        let fails = state.failing_in == Some(0);
        state.failing_in = state.failing_in.and_then(|left| left.checked_sub(1));
        if fails {
            return Err(io::Error::other("the disk fails this once"));
        }
        let goes_off = state.power_left == Some(0);
        state.power_left = state.power_left.and_then(|left| left.checked_sub(1));
        state.off = goes_off;
        // If the power goes here, a write may still leave its traces; a sync has not happened.
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

    /// Returns 1970: the disk has no clock.
    fn modified(&self, file: &Path) -> io::Result<UnixMillis> {
        self.live()?.find(file)?;
        Ok(UnixMillis(0))
    }

    fn create(&self, file: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.change(|state| {
            let content = match state.names.get(file) {
                Some(content) => {
                    let content = *content;
                    state.files[content].make(ContentChange::Len(0));
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

#[derive(Debug)]
struct SimulatedFile {
    disk: Mounted,
    content: usize,
}

impl SimulatedFile {
    fn change(&self, make: impl FnOnce(&mut DiskState, usize) -> io::Result<()>) -> io::Result<()> {
        self.disk.change(|state| make(state, self.content))
    }
}

impl DiskFile for SimulatedFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let at = usize::try_from(offset).map_err(io::Error::other)?;
        self.change(|state, content| {
            let fits = if state.full { bytes.len() / 2 } else { bytes.len() };
            state.files[content].make(ContentChange::Bytes(at, bytes[..fits].to_vec()));
            if state.full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        })
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(io::Error::other)?;
        self.change(|state, content| {
            state.files[content].make(ContentChange::Len(len));
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

/// Its file has no content.
impl Lock for SimulatedLock {
    fn note(&self, _content: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for SimulatedLock {
    fn drop(&mut self) {
        // Without power there is no lock left.
        if let Ok(mut state) = self.disk.live() {
            state.locked.remove(&self.file);
        }
    }
}
