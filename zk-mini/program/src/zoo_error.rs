//! Faults of a `zoo.cfg`, and remarks on what has no effect.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// A remark on a key that has no effect here, or another one than in ZooKeeper.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Remark {
    pub(crate) file: PathBuf,
    pub(crate) line: usize,
    pub(crate) key: String,
    pub(crate) text: &'static str,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Some other file given by mistake may have control characters in its keys.
        let key = self.key.escape_debug();
        write!(f, "{}:{}: {key} {}", self.file.display(), self.line, self.text)
    }
}

/// Reason why a `zoo.cfg` cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("cannot read {}: {source}", file.display())]
    Read { file: PathBuf, source: io::Error },
    #[error("{}:{line}: {} is {value:?}; it must be {expected}", file.display(), key.escape_debug())]
    Value { file: PathBuf, line: usize, key: String, value: String, expected: &'static str },
    #[error("{}:{line}: {} is not a ZooKeeper key; did you mean {meant}?", file.display(), key.escape_debug())]
    Misspelt { file: PathBuf, line: usize, key: String, meant: &'static str },
    #[error("{}: enforce.auth.enabled is true, so enforce.auth.schemes must name schemes, such as sasl,digest", file.display())]
    NoSchemes { file: PathBuf },
    #[error("{}:{line}: invalid text: {what}", file.display())]
    NoText { file: PathBuf, line: usize, what: &'static str },
    #[error(
        "{}: dataDir is missing: add dataDir=DIR to the file, or --data-dir DIR to the options; without --config the \
         server keeps everything in memory",
        file.display()
    )]
    NoDataDir { file: PathBuf },
}
