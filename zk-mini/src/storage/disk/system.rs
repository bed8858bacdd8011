//! The file system of the machine.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use libc::{O_NOFOLLOW, O_NONBLOCK};
use zk_wire::UnixMillis;

use super::seam::{Disk, DiskFile, Lock};

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
        let metadata = fs::metadata(file)?;
        Ok(UnixMillis(
            metadata.mtime().saturating_mul(1_000).saturating_add(metadata.mtime_nsec() / 1_000_000),
        ))
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
        Ok(Box::new(OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?))
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
        File::open(file)?.sync_data()
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn lock(&self, file: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        // Refuses a symbolic link, and does not block on a pipe.
        let flags = O_NOFOLLOW | O_NONBLOCK;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(PRIVATE).custom_flags(flags);
        let lock = options.open(file)?;
        check_lock(&lock, file)?;
        match lock.try_lock() {
            Ok(()) if lock.is_at(file)? => Ok(Some(Box::new(lock))),
            Ok(()) => Err(io::Error::other("it has just been replaced: another process uses the directory")),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// Mode of a lock file. A user that can open it can lock it.
const PRIVATE: u32 = 0o600;

/// Refuses a lock file that other users can lock, or makes it private.
fn check_lock(lock: &File, file: &Path) -> io::Result<()> {
    let found = lock.metadata()?;
    if !found.is_file() || found.nlink() != 1 {
        return Err(io::Error::other("it is not a regular file; delete it"));
    }
    let dir = fs::metadata(file.parent().unwrap_or(file))?;
    if found.uid() != dir.uid() && Some(found.uid()) != effective_user() {
        let message = "it belongs to another user, who could keep it locked; delete it";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
    }
    if found.mode() & 0o077 != 0 {
        lock.set_permissions(Permissions::from_mode(PRIVATE))?;
    }
    Ok(())
}

/// Returns the effective user of this process: the owner of its directory in `/proc`. `None` on systems without `/proc`:
/// there the lock file must belong to the owner of its directory.
fn effective_user() -> Option<u32> {
    fs::metadata("/proc/self").ok().map(|this| this.uid())
}

impl DiskFile for File {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        Self::set_len(self, len)
    }

    fn sync(&mut self) -> io::Result<()> {
        // The times of the file may be lost, its length may not.
        self.sync_data()
    }

    fn is_at(&self, file: &Path) -> io::Result<bool> {
        match fs::metadata(file) {
            Ok(there) => {
                let this = self.metadata()?;
                Ok((this.dev(), this.ino()) == (there.dev(), there.ino()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
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
        self.write_all_at(content, 0)?;
        self.sync_data()
    }
}
