//! Files of a data directory, by name.

use std::fs;
use std::path::{Path, PathBuf};

/// Returns the path of a log or snapshot.
pub(crate) fn file(dir: &Path, name: &str) -> PathBuf {
    dir.join("version-2").join(name)
}

/// Returns the names of all logs and snapshots, and of the files beside them, sorted.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    let files = fs::read_dir(dir.join("version-2")).unwrap();
    let mut names: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}
