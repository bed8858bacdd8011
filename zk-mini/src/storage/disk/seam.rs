//! Operations that storage needs of a file system.

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};

/// A file system. What has been written, and the names of files, are durable only once they have been synced.
pub(crate) trait Disk: Debug + Send + Sync {
    /// Makes a directory and those above it, durably.
    fn create_dirs(&self, dir: &Path) -> io::Result<()>;

    /// The one name of a directory that may have several.
    fn canonical(&self, dir: &Path) -> io::Result<PathBuf>;

    /// The names and lengths of the files in a directory. Names that are no text are not ours.
    fn list(&self, dir: &Path) -> io::Result<Vec<(String, u64)>>;

    fn read(&self, file: &Path) -> io::Result<Vec<u8>>;

    /// The beginning of a file, up to so many bytes.
    fn read_start(&self, file: &Path, len: u64) -> io::Result<Vec<u8>>;

    /// Begins a file, in place of one that is there.
    fn create(&self, file: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Begins a file that only its owner can read, in place of one that is there.
    fn create_private(&self, file: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a file that is there, to be written.
    fn open(&self, file: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Gives a file another name, in place of one that has it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    fn remove(&self, file: &Path) -> io::Result<()>;

    /// Makes the content of a file durable, whoever has written it.
    fn sync_file(&self, file: &Path) -> io::Result<()>;

    /// Makes durable which names there are in a directory.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// A lock that lasts until it is dropped; `None` if somebody else has it. Other users than the owners of the program and
    /// of the directory can neither take it nor keep it from being taken.
    fn lock(&self, file: &Path) -> io::Result<Option<Box<dyn Lock>>>;
}

/// A file that is being written.
pub(crate) trait DiskFile: Debug + Send {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts it off, or extends it with zeros.
    fn set_len(&mut self, len: u64) -> io::Result<()>;

    /// Makes its content durable.
    fn sync(&mut self) -> io::Result<()>;

    /// Returns whether this name leads to it, still.
    fn is_at(&self, file: &Path) -> io::Result<bool>;
}

/// Held by whoever writes a directory.
pub(crate) trait Lock: Debug + Send {
    /// Has this in the file from now on, and nothing else.
    fn note(&self, content: &[u8]) -> io::Result<()>;
}
