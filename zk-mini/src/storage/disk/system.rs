//! The file system of the machine.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use zk_wire::UnixMillis;

use super::seam::{Disk, DiskFile, Lock};
use crate::sys;

/// The file system of the machine.
#[derive(Debug)]
pub(crate) struct SystemDisk;

impl Disk for SystemDisk {
    fn create_dirs(&self, dir: &Path) -> io::Result<()> {
        let missing: Vec<_> = dir.ancestors().take_while(|dir| !dir.exists()).collect();
        fs::create_dir_all(dir)?;
        // A relative path of one name has the empty path above it.
        let parents = missing.iter().filter_map(|dir| dir.parent()).filter(|dir| !dir.as_os_str().is_empty());
        parents.rev().try_for_each(|parent| self.sync_dir(parent))
    }

    fn canonical(&self, dir: &Path) -> io::Result<PathBuf> {
        fs::canonicalize(if dir.as_os_str().is_empty() { Path::new(".") } else { dir })
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            // A file that has just been deleted is left out.
            if let (Ok(name), Ok(metadata)) = (entry.file_name().into_string(), entry.metadata()) {
                files.push((name, metadata.len()));
            }
        }
        Ok(files)
    }

    fn read(&self, file: &Path) -> io::Result<Vec<u8>> {
        fs::read(file)
    }

    fn read_start(&self, file: &Path, len: u64) -> io::Result<Vec<u8>> {
        let mut start = Vec::new();
        File::open(file)?.take(len).read_to_end(&mut start)?;
        Ok(start)
    }

    fn modified(&self, file: &Path) -> io::Result<UnixMillis> {
        let since = fs::metadata(file)?.modified()?.duration_since(UNIX_EPOCH);
        // Files can be dated before 1970.
        let (time, sign) = since.map_or_else(|before| (before.duration(), -1), |after| (after, 1));
        Ok(UnixMillis(sign * i64::try_from(time.as_millis()).unwrap_or(i64::MAX)))
    }

    fn create(&self, file: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(File::create(file)?))
    }

    fn create_private(&self, file: &Path) -> io::Result<Box<dyn DiskFile>> {
        // An existing file may be open to other users already.
        match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(Box::new(sys::private_options().open(file)?))
    }

    fn open(&self, file: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(OpenOptions::new().write(true).open(file)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, file: &Path) -> io::Result<()> {
        fs::remove_file(file)
    }

    fn sync_file(&self, file: &Path) -> io::Result<()> {
        sys::open_to_sync(file)?.sync_data()
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        sys::sync_dir(dir)
    }

    fn lock(&self, file: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        let lock = sys::lock_options().open(file)?;
        sys::protect_lock(&lock, file)?;
        match lock.try_lock() {
            Ok(()) if lock.is_at(file)? => Ok(Some(Box::new(lock))),
            Ok(()) => Err(io::Error::other("it has just been replaced: another process uses the directory")),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl DiskFile for File {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        sys::write_all_at(self, bytes, offset)
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        Self::set_len(self, len)
    }

    fn sync(&mut self) -> io::Result<()> {
        // The times of the file may be lost, its length may not.
        self.sync_data()
    }

    fn is_at(&self, file: &Path) -> io::Result<bool> {
        match sys::is_same_file(self, file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            known => known,
        }
    }
}

impl Lock for File {
    fn note(&self, content: &[u8]) -> io::Result<()> {
        let noted = self.metadata()?.len();
        if noted == 0 && content.is_empty() {
            return Ok(());
        }
        // The new content replaces the old one, also if it is shorter.
        Self::set_len(self, 0)?;
        sys::write_all_at(self, content, 0)?;
        self.sync_data()
    }
}
