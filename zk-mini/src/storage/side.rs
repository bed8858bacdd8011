//! Side files: parts that are taken out of a data directory stay beside it, each under a new name that neither
//! zk-mini nor Apache ZooKeeper takes for a log or a snapshot.

use std::path::{Path, PathBuf};

use super::disk::Disk;
use super::error::StorageError;
use super::log;
use super::tail::end_of;

/// Cuts a log off at an offset, and keeps the bytes behind it, without the zeros at the end. Returns their file;
/// `None` if the log was only the beginning of a header.
pub(super) fn cut(disk: &dyn Disk, file: &Path, offset: u64) -> Result<Option<PathBuf>, StorageError> {
    let content = disk.read(file).map_err(|source| StorageError::io("read", file, source))?;
    if log::is_begun(&content) {
        disk.remove(file).map_err(|source| StorageError::io("delete", file, source))?;
        return Ok(None);
    }
    if offset < log::HEADER {
        return set_aside(disk, file).map(Some);
    }
    let kept = usize::try_from(offset).ok().and_then(|offset| content.get(offset..end_of(&content)));
    let side = free_name(disk, file, "cut", &format!(".from-byte-{offset}"))?;
    keep(disk, &side, kept.unwrap_or_default()).map_err(|source| {
        // A part of the side file may be what fills the disk.
        let _ = disk.remove(&side);
        StorageError::io("write", &side, source)
    })?;
    let cut = disk.open(file).and_then(|mut log| log.set_len(offset).and_then(|()| log.sync()));
    cut.map_err(|source| StorageError::io("cut", file, source))?;
    Ok(Some(side))
}

/// Renames a log or a snapshot so that no server reads it. Returns the new name.
pub(super) fn set_aside(disk: &dyn Disk, file: &Path) -> Result<PathBuf, StorageError> {
    let side = free_name(disk, file, "removed", "")?;
    let moved = disk.rename(file, &side).and_then(|()| disk.sync_dir(dir_of(file)));
    moved.map_err(|source| StorageError::io("rename", file, source))?;
    Ok(side)
}

fn keep(disk: &dyn Disk, side: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut file = disk.create(side)?;
    file.write_at(0, content)?;
    file.sync()?;
    disk.sync_dir(dir_of(side))
}

/// Returns a name that no file has. The directory is locked, so that no other server takes it meanwhile.
fn free_name(disk: &dyn Disk, file: &Path, what: &str, place: &str) -> Result<PathBuf, StorageError> {
    let dir = dir_of(file);
    let files = disk.list(dir).map_err(|source| StorageError::io("read", dir, source))?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let first = format!("zk-mini.{what}.{name}{place}");
    let mut free = first.clone();
    for number in 2.. {
        if files.iter().all(|(name, _)| *name != free) {
            break;
        }
        free = format!("{first}.{number}");
    }
    Ok(dir.join(free))
}

fn dir_of(file: &Path) -> &Path {
    file.parent().unwrap_or(file)
}
