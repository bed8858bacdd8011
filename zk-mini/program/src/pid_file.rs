//! `--pid-file`: the id of the process, for those who want to signal it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;

/// Failure to write the file.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the process id to {}: {source}; name a file in a directory that may be written to", path.display())]
pub(crate) struct PidFileError {
    path: PathBuf,
    source: io::Error,
}

/// File with the id of this process. It goes at the end, unless another process has taken it over.
///
/// What an earlier process left is replaced, as sshd and nginx do: the number in it may belong to a stranger by now. That
/// one server runs at a time is what the port, and the data directory, see to.
#[derive(Debug)]
pub(crate) struct PidFile {
    path: PathBuf,
}

impl PidFile {
    /// Writes the file: readers find the whole number, or no file.
    pub(crate) fn write(path: &Path) -> Result<Self, PidFileError> {
        match replace(path) {
            Ok(()) => Ok(Self { path: path.into() }),
            Err(source) => Err(PidFileError { path: path.into(), source }),
        }
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if fs::read_to_string(&self.path).is_ok_and(|text| text == line())
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(%error, file = %self.path.display(), "the file with the process id stays");
        }
    }
}

fn replace(path: &Path) -> io::Result<()> {
    let Some(name) = path.file_name() else { return Err(io::ErrorKind::IsADirectory.into()) };
    let mut temporary = name.to_owned();
    temporary.push(format!(".{}.tmp", process::id()));
    let temporary = path.with_file_name(temporary);
    let written = create(&temporary).and_then(|mut file| file.write_all(line().as_bytes()));
    let replaced = written.and_then(|()| fs::rename(&temporary, path));
    if replaced.is_err() {
        // It may not even be there.
        let _ = fs::remove_file(&temporary);
    }
    replaced
}

/// Creates a file that is new: a link that somebody put there is not followed.
fn create(path: &Path) -> io::Result<File> {
    match File::create_new(path) {
        // Left by a process with our id that was killed: in a container all of them have the same.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            File::create_new(path)
        }
        created => created,
    }
}

fn line() -> String {
    format!("{}\n", process::id())
}
