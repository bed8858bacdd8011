//! The secret of a data directory, for session passwords that are not made in Apache ZooKeeper's way.

use std::io;

use super::error::StorageError;
use super::files::{Files, UNFINISHED};
use crate::core::SessionSecret;

/// Returns the secret of a directory. A directory without one keeps the new one.
pub(super) fn keep(files: &Files, new: SessionSecret) -> Result<SessionSecret, StorageError> {
    let (disk, file) = (&*files.disk, files.secret());
    match disk.read(&file) {
        Ok(bytes) => {
            let expected = SessionSecret::LEN;
            let bytes = bytes.try_into().map_err(|_| StorageError::Secret { file, expected })?;
            Ok(SessionSecret::new(bytes))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let unfinished = file.with_extension(UNFINISHED);
            let written = disk.create_private(&unfinished).and_then(|mut begun| {
                begun.write_at(0, new.as_bytes())?;
                begun.sync()?;
                disk.rename(&unfinished, &file)?;
                disk.sync_dir(file.parent().unwrap_or(&file))
            });
            written.map_err(|source| StorageError::io("write", &file, source))?;
            Ok(new)
        }
        Err(source) => Err(StorageError::io("read", &file, source)),
    }
}
