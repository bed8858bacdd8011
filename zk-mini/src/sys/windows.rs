//! Windows.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io;
use std::net::Ipv4Addr;
use std::os::windows::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use same_file::Handle;
use socket2::Socket;
use tokio::net::TcpStream;

/// Opens a link itself, not what it leads to (FILE_FLAG_OPEN_REPARSE_POINT).
const NO_FOLLOW: u32 = 0x0020_0000;

/// Returns options that create a file. Who may open it is as for its directory.
pub(crate) fn private_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    options
}

/// Returns options that open or create a lock file; [`protect_lock`] refuses a link.
pub(crate) fn lock_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).custom_flags(NO_FOLLOW);
    options
}

/// Refuses a lock file that is no file. Who may open it is as for its directory.
pub(crate) fn protect_lock(lock: &File, _: &Path) -> io::Result<()> {
    if !lock.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file; delete it"));
    }
    Ok(())
}

/// Returns true if the name leads to this file. A name that leads nowhere is an error of the kind `NotFound`.
pub(crate) fn is_same_file(this: &File, name: &Path) -> io::Result<bool> {
    Ok(Handle::from_file(this.try_clone()?)? == Handle::from_path(name)?)
}

pub(crate) fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.seek_write(bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = &bytes[written..];
                offset += written as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Opens a file that another process has written, to make it durable: only one that may be written to can be.
pub(crate) fn open_to_sync(file: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).open(file)
}

/// Does nothing: a directory cannot be flushed, and NTFS keeps a journal of its names.
pub(crate) fn sync_dir(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Returns a name as bytes that [`name_from_bytes`] reads. A name that is not Unicode loses what is not.
pub(crate) fn name_bytes(name: &OsStr) -> Vec<u8> {
    name.to_string_lossy().into_owned().into_bytes()
}

pub(crate) fn name_from_bytes(bytes: &[u8]) -> OsString {
    String::from_utf8_lossy(bytes).into_owned().into()
}

/// Does nothing: the port is free at once, and SO_REUSEADDR would let two servers listen on it.
pub(crate) fn allow_restart(_: &Socket) -> io::Result<()> {
    Ok(())
}

/// Returns two ends of a connection within the process. To be called within a runtime.
pub(crate) fn connected_pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let near = std::net::TcpStream::connect(listener.local_addr()?)?;
    let (far, _) = listener.accept()?;
    let into_tokio = |stream: std::net::TcpStream| {
        stream.set_nonblocking(true)?;
        TcpStream::from_std(stream)
    };
    Ok((into_tokio(near)?, into_tokio(far)?))
}
