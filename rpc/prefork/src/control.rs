//! The control socket: whoever connects reads how the service is, and that is all it is for.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;

use crate::Error;
use crate::error::describe;
use crate::guard::quietly;
use crate::millis::Millis;

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
    /// Nobody is answered before, since nobody can be.
    rests_until: Option<Millis>,
}

impl Control {
    /// Binds it, for the owner only. What a service that was killed has left there is replaced; a service that still
    /// answers is not.
    pub(crate) fn bind(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Control { path: path.to_owned(), source };
        // A plain file refuses connections as well; that one is not ours to remove.
        let is_socket = fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
        if is_socket && UnixStream::connect(path).is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused) {
            fs::remove_file(path).map_err(failed)?;
        }
        Self::create(path).map_err(failed)
    }

    /// Puts it where another service still has its own, which stays without a name: nobody who asks finds nothing.
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

    /// Answers those who wait, some of them if they are many. Nobody is waited for: an answer is smaller than a socket's
    /// buffer, and what does not fit is cut.
    ///
    /// Without a descriptor for them they go on waiting, and so does the parent: it is not woken by them for a second.
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
            self.rests_until = Some(now.after(REST));
            let why =
                error.raw_os_error().map_or_else(|| error.to_string(), |n| describe(Errno::from_raw(n)));
            quietly(|| tracing::warn!("cannot tell the status to who asks: {why}; trying again in {REST}"));
        }
    }

    /// Descriptor that wakes the parent when somebody asks; none while it could not answer.
    pub(crate) fn wakes(&self) -> Option<BorrowedFd<'_>> {
        self.rests_until.is_none().then(|| self.listener.as_fd())
    }

    /// Returns when to answer those who had to wait.
    pub(crate) fn deadline(&self) -> Option<Millis> {
        self.rests_until
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

const PATIENCE: Duration = Duration::from_secs(5);

/// Maximum number of those who are answered before workers get their turn.
const ANSWERS_AT_ONCE: usize = 16;

/// Time in which nobody is answered after nobody could be.
const REST: Millis = Millis(1_000);

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
        let path_in_use =
            format!("cannot put the control socket at {}: another service answers there", path.display());
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
    fn a_path_that_cannot_be_made_says_what_is_wrong_with_a_path() {
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
    fn who_asks_while_no_descriptor_is_left_wakes_nobody_for_a_second() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control");
        let mut control = Control::bind(&path).unwrap();
        let asks = UnixStream::connect(&path).unwrap();
        asks.set_nonblocking(true).unwrap();
        let heard = || (&asks).read(&mut [0; 8]).is_ok_and(|len| len == 2);
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
