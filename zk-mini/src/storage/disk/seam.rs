//! Operations that storage needs of a file system.

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};

use zk_wire::UnixMillis;

/// A file system. Written bytes, and the names of files, are durable only once they have been synced.
pub(crate) trait Disk: Debug + Send + Sync {
    /// Makes a directory and those above it, durably.
    fn create_dirs(&self, dir: &Path) -> io::Result<()>;

    /// Returns the one canonical name of a directory.
    fn canonical(&self, dir: &Path) -> io::Result<PathBuf>;

    /// Returns the names and lengths of the files in a directory. Names that are not UTF-8 are left out.
    fn list(&self, dir: &Path) -> io::Result<Vec<(String, u64)>>;

    fn read(&self, file: &Path) -> io::Result<Vec<u8>>;

    /// Returns the first `len` bytes of a file, or fewer if it is shorter.
    fn read_start(&self, file: &Path, len: u64) -> io::Result<Vec<u8>>;

    /// Returns the time of the last change of a file.
    fn modified(&self, file: &Path) -> io::Result<UnixMillis>;

    /// Creates a file, or replaces it by an empty one.
    fn create(&self, file: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Creates a file that only its owner can read, or replaces it by an empty one.
    fn create_private(&self, file: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Opens an existing file for writing.
    fn open(&self, file: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Renames a file. A file with the new name is replaced.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    fn remove(&self, file: &Path) -> io::Result<()>;

    /// Makes the content of a file durable, also if another process has written it.
    fn sync_file(&self, file: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Takes a lock, which lasts until it is dropped; `None` if another process has it. Users other than those of the
    /// program and of the directory can neither take it nor block it.
    fn lock(&self, file: &Path) -> io::Result<Option<Box<dyn Lock>>>;
}

/// A file that is being written.
pub(crate) trait DiskFile: Debug + Send {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts the file off, or extends it with zeros.
    fn set_len(&mut self, len: u64) -> io::Result<()>;

    /// Makes the content durable.
    fn sync(&mut self) -> io::Result<()>;

    /// Returns true if this name still leads to the file.
    fn is_at(&self, file: &Path) -> io::Result<bool>;
}

/// Lock of a directory that is being written.
pub(crate) trait Lock: Debug + Send {
    /// Replaces the content of the lock file.
    fn note(&self, content: &[u8]) -> io::Result<()>;
}
