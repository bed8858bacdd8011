//! Linux, macOS and other Unix systems.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use libc::{O_NOFOLLOW, O_NONBLOCK};
use socket2::Socket;
use tokio::net::UnixStream;

/// Mode of a file for its owner only. A user that can open a lock file can lock it.
const PRIVATE: u32 = 0o600;

/// Returns options that create a file for its owner only.
pub(crate) fn private_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(PRIVATE);
    options
}

/// Returns options that open or create a lock file. They refuse a symbolic link, and do not wait for the other end of a pipe.
pub(crate) fn lock_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(PRIVATE).custom_flags(O_NOFOLLOW | O_NONBLOCK);
    options
}

/// Refuses a lock file that other users can lock, or makes it private.
pub(crate) fn protect_lock(lock: &File, file: &Path) -> io::Result<()> {
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

/// Returns true if the name leads to this file. A name that leads nowhere is an error of the kind `NotFound`.
pub(crate) fn is_same_file(this: &File, name: &Path) -> io::Result<bool> {
    let (there, this) = (fs::metadata(name)?, this.metadata()?);
    Ok((this.dev(), this.ino()) == (there.dev(), there.ino()))
}

pub(crate) fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    file.write_all_at(bytes, offset)
}

/// Opens a file that another process has written, to make it durable.
pub(crate) fn open_to_sync(file: &Path) -> io::Result<File> {
    File::open(file)
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Returns a name as bytes that [`name_from_bytes`] reads.
pub(crate) fn name_bytes(name: &OsStr) -> Vec<u8> {
    name.as_bytes().to_vec()
}

pub(crate) fn name_from_bytes(bytes: &[u8]) -> OsString {
    OsStr::from_bytes(bytes).to_owned()
}

/// Lets a server listen on a port again at once after its end. Two at a time still fail.
pub(crate) fn allow_restart(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_address(true)
}

/// Returns two ends of a connection within the process. To be called within a runtime.
pub(crate) fn connected_pair() -> io::Result<(UnixStream, UnixStream)> {
    UnixStream::pair()
}
