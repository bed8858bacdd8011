//! The file with the members of a service on disk. Its functions block.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process;

use super::format::{self, Defect, Origin};
use crate::members::Members;

/// Maximum number of bytes of a file, which are some 200,000 members: who reads one needs the memory at once.
const MAX_BYTES: u64 = 32 << 20;

/// File with the members of a service.
#[derive(Clone, Debug)]
pub(super) struct CacheFile {
    pub(super) path: PathBuf,
    pub(super) origin: Origin,
}

/// Reason why a file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Defect(#[from] Defect),
    #[error("it is no file")]
    NotAFile,
    #[error("it would have {0} bytes; at most {MAX_BYTES} are kept")]
    TooLarge(u64),
}

impl CacheFile {
    /// Reads the file; `None` if there is none.
    pub(super) fn read(&self) -> Result<Option<Members>, FileError> {
        match fs::metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            // Whoever opens a pipe waits, perhaps for ever.
            found => found?.is_file().then_some(()).ok_or(FileError::NotAFile)?,
        }
        let file = File::open(&self.path)?;
        let mut bytes = Vec::new();
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
        check_size(bytes.len())?;
        Ok(Some(format::decode(&self.origin, &bytes)?))
    }

    /// Replaces the file: after a crash it is the old one or the new one. Members that are too many are none for the next
    /// start: an older list would be wrong.
    pub(super) fn write(&self, members: &Members, confirmed_ms: u64) -> Result<(), FileError> {
        let bytes = format::encode(&self.origin, members, confirmed_ms);
        if let Err(too_large) = check_size(bytes.len()) {
            let removed = fs::remove_file(&self.path);
            return match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
                _ => Err(too_large),
            };
        }
        if let Some(directory) = self.path.parent() {
            fs::create_dir_all(directory)?;
        }
        let new = self.new_path();
        let mut file = File::create_new(&new)?;
        let written = write_durably(&mut file, &bytes).and_then(|()| fs::rename(&new, &self.path));
        if written.is_err() {
            let _ = fs::remove_file(&new);
        }
        Ok(written?)
    }

    /// Returns a path beside the file that no other writer uses, in this process, in another one or in another container.
    fn new_path(&self) -> PathBuf {
        self.path.with_extension(format!("{}-{:016x}.new", process::id(), fastrand::u64(..)))
    }
}

fn check_size(bytes: usize) -> Result<(), FileError> {
    let bytes = bytes as u64;
    if bytes > MAX_BYTES { Err(FileError::TooLarge(bytes)) } else { Ok(()) }
}

fn write_durably(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    // Otherwise a crash of the system may leave an empty file under the final name.
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tempfile::TempDir;

    use super::*;
    use crate::instance::Instance;

    fn in_new_directory() -> (TempDir, CacheFile) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("below/demo.members");
        let origin = Origin { servers: vec!["a:1".into()], path: "/demo".into(), codec: "Json".into() };
        (directory, CacheFile { path, origin })
    }

    fn members(ids: impl IntoIterator<Item = u32>, instance: Instance) -> Members {
        let instance = Arc::new(instance);
        ids.into_iter().map(|id| (id.to_string().as_str().into(), instance.clone())).collect()
    }

    fn names(file: &CacheFile) -> Vec<String> {
        let entries = fs::read_dir(file.path.parent().unwrap()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn the_newest_members_are_read_and_nothing_else_is_left() {
        let (_directory, file) = in_new_directory();
        assert!(file.read().unwrap().is_none(), "none yet");
        for last in 1..4 {
            file.write(&members(0..last, Instance::new("a", 1)), 7).unwrap();
            assert_eq!(file.read().unwrap().unwrap().len(), last as usize);
            assert_eq!(names(&file), ["demo.members"]);
        }
        file.write(&Members::default(), 8).unwrap();
        let empty = file.read().unwrap().unwrap();
        assert_eq!((empty.len(), empty.stale, empty.cached), (0, true, Some(8)), "known to be empty");
    }

    #[test]
    fn a_list_that_is_too_large_leaves_no_older_one() {
        let (_directory, file) = in_new_directory();
        file.write(&members(0..1, Instance::new("a", 1)), 7).unwrap();
        let large = Instance::new("a", 1).with("text", "x".repeat(Instance::MAX_BYTES - 100));
        let bytes = u32::try_from(MAX_BYTES).unwrap();
        let count = bytes / u32::try_from(Instance::MAX_BYTES).unwrap() + 2;
        let refused = file.write(&members(0..count, large), 8);
        assert!(matches!(refused, Err(FileError::TooLarge(_))), "{refused:?}");
        assert!(file.read().unwrap().is_none());
    }

    #[test]
    fn a_file_that_is_too_large_is_not_read_to_its_end() {
        let (_directory, file) = in_new_directory();
        file.write(&Members::default(), 7).unwrap();
        File::options().write(true).open(&file.path).unwrap().set_len(2 * MAX_BYTES).unwrap();
        assert!(matches!(file.read(), Err(FileError::TooLarge(_))));
    }

    #[test]
    fn what_is_no_file_is_not_opened() {
        let (_directory, file) = in_new_directory();
        fs::create_dir_all(&file.path).unwrap();
        assert!(matches!(file.read(), Err(FileError::NotAFile)));
    }

    #[test]
    fn a_place_that_cannot_be_written_is_an_error() {
        let (directory, file) = in_new_directory();
        fs::write(directory.path().join("below"), "a file, not a directory").unwrap();
        assert!(matches!(file.write(&Members::default(), 7), Err(FileError::Io(_))));
    }
}
