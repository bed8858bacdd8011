//! Repair of a data directory: damaged parts are moved to side files, and nothing else is changed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{Disk, SystemDisk};
use super::error::StorageError;
use super::files::Files;
use super::owner;
use super::recovery::{self, Recovery};
use super::side;
use crate::core::{Config, Now};

/// Result of a repair.
#[derive(Debug)]
pub struct Repair {
    /// Parts that were moved, in order.
    pub moved: Vec<Moved>,
    /// Contents of the directory now, or the reason why they still cannot be read.
    pub left: Result<Recovery, StorageError>,
}

/// A part that a repair has moved out of a directory.
#[derive(Debug)]
pub struct Moved {
    /// Damage that it was moved for; `None` if it was left by a crash.
    pub because: Option<StorageError>,
    /// Side files that it was moved to.
    pub to: Vec<PathBuf>,
}

/// Repairs a data directory so that a server starts on it: damaged parts, and the transactions behind them, are moved
/// to side files. No server may run on it.
///
/// # Errors
/// [`StorageError`] if the directory is in use or has no data. Nothing has been moved then.
pub fn repair(dir: &Path, log_dir: Option<&Path>) -> Result<Repair, StorageError> {
    let files = Files::new(Arc::new(SystemDisk), dir, log_dir);
    files.check_there()?;
    let _locks = owner::take(&files)?;
    let mut moved = Vec::new();
    let left = repair_files(&files, &mut moved);
    Ok(Repair { moved, left })
}

fn repair_files(files: &Files, moved: &mut Vec<Moved>) -> Result<Recovery, StorageError> {
    // Each round shortens a file, or moves one away.
    loop {
        let config = Config { digests: true, ..Config::default() };
        match recovery::recover_files(files, None, config, Now::default(), &|_| ()) {
            Ok(mut recovery) => {
                let to: Vec<_> = recovery.cut_tail(files)?.into_iter().collect();
                if !to.is_empty() {
                    moved.push(Moved { because: None, to });
                }
                recovery.torn = None;
                for error in recovery.damaged.drain(..) {
                    let to = remove(files, &error)?;
                    moved.push(Moved { because: Some(error), to });
                }
                return Ok(recovery);
            }
            Err(error) => {
                let to = remove(files, &error)?;
                if to.is_empty() {
                    return Err(error);
                }
                moved.push(Moved { because: Some(error), to });
            }
        }
    }
}

/// Moves away the damaged part of an error, and what comes behind it. Returns the side files; none if the error is
/// about no such part.
fn remove(files: &Files, error: &StorageError) -> Result<Vec<PathBuf>, StorageError> {
    let disk: &dyn Disk = &*files.disk;
    match error {
        StorageError::Log { file, offset, .. } => {
            let later = logs_from(files, file)?.into_iter().skip(1);
            let later: Vec<_> = later.map(|log| side::set_aside(disk, &log)).collect::<Result<_, _>>()?;
            Ok(side::cut(disk, file, *offset)?.into_iter().chain(later).collect())
        }
        StorageError::Gap { file, .. } => {
            logs_from(files, file)?.iter().map(|log| side::set_aside(disk, log)).collect()
        }
        StorageError::Lost { damage, .. } => remove(files, damage),
        StorageError::Snapshot { file, .. }
        | StorageError::Ahead { file, .. }
        | StorageError::Misnamed { file, .. } => Ok(vec![side::set_aside(disk, file)?]),
        _ => Ok(Vec::new()),
    }
}

/// Returns a log and the later ones.
fn logs_from(files: &Files, first: &Path) -> Result<Vec<PathBuf>, StorageError> {
    Ok(files.logs()?.into_iter().map(|(_, log)| log).skip_while(|log| log != first).collect())
}
