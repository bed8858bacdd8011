//! The control socket: a client that connects reads the status of the service. It takes no commands.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::Millis;
use common::log::quietly;

use crate::error::{Error, explain};
use crate::supervisor::seconds;

/// Longest wait of a client for the answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Maximum number of clients that are answered in one round of the parent's loop.
const ANSWERS_AT_ONCE: usize = 16;

/// Pause after a client that could not be answered.
const REST: Millis = Millis(1_000);

/// Returns the status of the service whose [`Options::control`](field@crate::Options::control) is `path`: a line for the
/// parent and one for each child, for people to read. The program `prefork-status` prints the same.
///
/// # Errors
/// No service listens there, or it does not answer within 5 seconds.
pub fn status(path: impl AsRef<Path>) -> io::Result<String> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// The parent's end of the control socket.
#[derive(Debug)]
pub(crate) struct Control {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode of the file as it was created: a successor may have put its own there since.
    file: (u64, u64),
    /// Time until which no client is answered, because the last one could not be.
    rests_until: Option<Millis>,
}

impl Control {
    /// Binds the socket, for the owner only. It replaces the socket of a service that was killed, but not that of a
    /// service that still answers.
    pub(crate) fn bind(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Control { path: path.to_owned(), source };
        // A plain file refuses connections as well, but it must not be removed.
        let is_socket = fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
        if is_socket && UnixStream::connect(path).is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused) {
            fs::remove_file(path).map_err(failed)?;
        }
        Self::create(path).map_err(failed)
    }

    /// Binds the socket in the place of another service's, which loses its name. At every moment one of them can be found.
    pub(crate) fn take_over(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Control { path: path.to_owned(), source };
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
        Ok(Self { listener, path: path.to_owned(), file, rests_until: None })
    }

    /// Answers waiting clients, up to [`ANSWERS_AT_ONCE`]. It never waits for one: an answer is smaller than a socket's
    /// buffer, and the part that does not fit is cut.
    ///
    /// Without a free descriptor the clients go on waiting, and for [`REST`] they do not wake the parent.
    pub(crate) fn answer(&mut self, now: Millis, text: impl Fn() -> String) {
        if self.rests_until.take_if(|at| *at <= now).is_none() && self.rests_until.is_some() {
            return;
        }
        for _ in 0..ANSWERS_AT_ONCE {
            match self.listener.accept() {
                Ok((mut stream, _)) => {
                    if stream.set_nonblocking(true).is_ok() {
                        let _ = stream.write_all(text().as_bytes());
                    }
                }
                Err(error) => return self.rest_after(now, &error),
            }
        }
    }

    fn rest_after(&mut self, now: Millis, error: &io::Error) {
        use ErrorKind::{ConnectionAborted, Interrupted, WouldBlock};
        if !matches!(error.kind(), ConnectionAborted | Interrupted | WouldBlock) {
            self.rests_until = Some(now + REST);
            let (why, rest) = (explain(error), seconds(REST));
            quietly(|| {
                tracing::warn!("cannot answer a request for the status: {why}; trying again in {rest}");
            });
        }
    }

    /// Returns the descriptor that becomes readable when a client connects; none while it could not be answered.
    pub(crate) fn wakes(&self) -> Option<BorrowedFd<'_>> {
        self.rests_until.is_none().then(|| self.listener.as_fd())
    }

    /// Returns the time at which to answer clients that had to wait.
    pub(crate) fn deadline(&self) -> Option<Millis> {
        self.rests_until
    }

    /// Removes the socket, at the end of the parent. A child just drops its copy.
    pub(crate) fn remove(self) {
        if file_at(&self.path).is_ok_and(|file| file == self.file) {
            let _ = fs::remove_file(self.path);
        }
    }
}

/// Returns device and inode, which stay the same when the file is renamed.
fn file_at(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|meta| (meta.dev(), meta.ino()))
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::*;

    #[test]
    fn a_socket_left_behind_is_replaced_and_one_in_use_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control");
        drop(UnixListener::bind(&path).unwrap());
        let control = Control::bind(&path).unwrap();
        let message = Control::bind(&path).unwrap_err().to_string();
        let path_in_use =
            format!("cannot create the control socket at {}: another service answers there", path.display());
        assert!(message.starts_with(&path_in_use) && !message.contains("port"), "{message}");
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
    fn an_error_about_a_path_explains_the_path() {
        let dir = tempfile::tempdir().unwrap();
        for (path, problem) in [
            (dir.path().join("missing/control"), "no such directory (ENOENT)"),
            (dir.path().join("long".repeat(50)), "path"),
        ] {
            let message = Control::bind(&path).unwrap_err().to_string();
            assert!(message.contains(problem) && !message.contains("port"), "{message}");
        }
    }

    #[test]
    fn a_client_that_cannot_be_answered_wakes_the_parent_after_a_second() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control");
        let mut control = Control::bind(&path).unwrap();
        let client = UnixStream::connect(&path).unwrap();
        client.set_nonblocking(true).unwrap();
        let heard = || (&client).read(&mut [0; 8]).is_ok_and(|len| len == 2);
        control.rest_after(Millis(5_000), &Errno::EMFILE.into());
        assert!(control.wakes().is_none());
        control.answer(Millis(5_999), || "ok".into());
        assert!(control.wakes().is_none() && !heard());
        assert_eq!(control.deadline(), Some(Millis(6_000)));
        control.answer(Millis(6_000), || "ok".into());
        assert!(control.wakes().is_some() && control.deadline().is_none() && heard());
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("precious");
        fs::write(&path, "data").unwrap();
        let message = Control::bind(&path).unwrap_err().to_string();
        assert!(message.contains("no socket"), "{message}");
        assert_eq!(fs::read(&path).unwrap(), b"data");
    }
}
