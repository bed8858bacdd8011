//! Compatibility with our own past: data directories and traffic of an earlier commit, and what a later build does with them.
//!
//! `integration-tests/compat/NAME` keeps what the commit of that name wrote and said; its README tells how. [`record`] makes
//! such a directory, [`zookeeper`] and [`rpc`] replay one.

pub mod directory;
mod frames;
mod proxy;
pub mod record;
pub mod recording;
pub mod rpc;
pub mod zookeeper;

use std::fs;
use std::path::{Path, PathBuf};

/// Directories of all recorded commits.
///
/// # Panics
/// If there is none.
pub fn recorded() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("compat");
    let entries = fs::read_dir(&root).unwrap_or_else(|error| panic!("{}: {error}", root.display()));
    let mut dirs: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    dirs.sort();
    assert!(!dirs.is_empty(), "{} has no recordings", root.display());
    dirs
}

/// Text of a file.
///
/// # Panics
/// If it cannot be read.
pub fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
