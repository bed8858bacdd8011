//! The control socket: whoever connects reads how the service is, and that is all it is for.

use crate::Error;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io::ErrorKind};

/// Asks the service whose [`Options::control`](crate::Options::control) is `path` how it is: a line for the parent and
/// one for each worker, for people to read. The program `prefork-status` prints the same.
///
/// # Errors
/// Nobody listens there, or does not answer within five seconds.
pub fn status(path: impl AsRef<Path>) -> io::Result<String> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// The parent's end.
#[derive(Debug)]
pub(crate) struct Control {
    listener: UnixListener,
    path: PathBuf,
    /// The file as it was made: a successor may have put its own there since.
    file: (u64, u64),
}

impl Control {
    /// Binds it, for the owner only. What a service that was killed has left there is replaced; a service that still
    /// answers is not.
    pub(crate) fn bind(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Bind { addr: path.display().to_string(), source };
        // A plain file refuses connections as well; that one is not ours to remove.
        let is_socket = fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
        if is_socket && UnixStream::connect(path).is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused) {
            fs::remove_file(path).map_err(failed)?;
        }
        Self::create(path).map_err(failed)
    }

    /// Puts it where another service still has its own, which stays without a name: nobody who asks finds nothing.
    pub(crate) fn take_over(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Bind { addr: path.display().to_string(), source };
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}", std::process::id()));
        let mut control = Self::create(Path::new(&beside)).map_err(failed)?;
        fs::rename(&beside, path).map_err(failed)?;
        control.path = path.to_owned();
        Ok(control)
    }

    fn create(path: &Path) -> io::Result<Self> {
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        let file = file_at(path)?;
        Ok(Self { listener, path: path.to_owned(), file })
    }

    /// Answers everybody who waits. Nobody is waited for: an answer is smaller than a socket's buffer, and what does not
    /// fit is cut.
    pub(crate) fn answer(&self, text: impl Fn() -> String) {
        while let Ok((mut stream, _)) = self.listener.accept() {
            if stream.set_nonblocking(true).is_ok() {
                let _ = stream.write_all(text().as_bytes());
            }
        }
    }

    /// Takes the socket away, at the end of the parent. A child just drops its copy.
    pub(crate) fn remove(self) {
        if file_at(&self.path).is_ok_and(|file| file == self.file) {
            let _ = fs::remove_file(self.path);
        }
    }
}

/// Which file that is, whatever it is called.
fn file_at(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|meta| (meta.dev(), meta.ino()))
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_left_behind_is_replaced_and_one_in_use_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control");
        drop(UnixListener::bind(&path).unwrap());
        let control = Control::bind(&path).unwrap();
        let message = Control::bind(&path).unwrap_err().to_string();
        assert!(message.contains("in use"), "{message}");
        control.remove();
        assert!(!path.exists());
    }

    #[test]
    fn a_successor_takes_the_path_and_keeps_it_when_the_predecessor_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control");
        let old = Control::bind(&path).unwrap();
        let new = Control::take_over(&path).unwrap();
        old.remove();
        assert!(UnixStream::connect(&path).is_ok());
        new.remove();
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("precious");
        fs::write(&path, "data").unwrap();
        assert!(Control::bind(&path).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"data");
    }
}
