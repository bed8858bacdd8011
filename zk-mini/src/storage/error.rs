//! What can be wrong with a data directory.

use std::fmt::{self, Display, Formatter};
use std::io;
use std::path::{Path, PathBuf};

use zk_wire::Zxid;

/// Contents of a log behind a damaged place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Loss {
    /// Number of bytes, without the zeros at the end.
    pub bytes: u64,
    /// Number of whole transactions that can be found in them.
    pub transactions: usize,
    /// The number of the last of these.
    pub last: Option<Zxid>,
}

impl Display for Loss {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.bytes)?;
        match self.last {
            None => Ok(()),
            Some(last) => write!(f, " with {} more whole transactions, up to zxid {last}", self.transactions),
        }
    }
}

/// Why a data directory cannot be used. Nothing in it has been deleted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The system refuses something.
    #[error("cannot {what} {}: {source}", file.display())]
    Io {
        /// What was being done.
        what: &'static str,
        /// The file or directory.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another server has it.
    #[error("{} belongs to a running zk-mini: stop that, or choose another data directory", dir.display())]
    Locked {
        /// The directory.
        dir: PathBuf,
    },
    /// The secret that session passwords are made with is not one.
    #[error(
        "{} is no secret of zk-mini: it has to be {expected} bytes long. Restore it; or delete it, and every session ends \
         for its client", file.display()
    )]
    Secret {
        /// The file.
        file: PathBuf,
        /// Number of bytes that a secret has.
        expected: usize,
    },
    /// A log is damaged, as no crash can have damaged it.
    #[error(
        "{} is damaged at byte {offset}: {reason}. No crash leaves that, so it is not cut off there: that would lose \
         {loss}, and the later logs. Restore the log, or go on without that: `zk-mini fsck --repair` moves it to a side \
         file", file.display()
    )]
    Log {
        /// The log.
        file: PathBuf,
        /// Where the first bad record begins.
        offset: u64,
        /// What is wrong with it.
        reason: String,
        /// Contents of this log behind it.
        loss: Loss,
    },
    /// A snapshot is not whole.
    #[error("{} is damaged at byte {offset}: {reason}", file.display())]
    Snapshot {
        /// The snapshot.
        file: PathBuf,
        /// How far it could be read.
        offset: usize,
        /// What is wrong.
        reason: String,
    },
    /// A log does not go on from where what is before it ends.
    #[error(
        "{} begins after zxid {last}, where what is before it ends: a log or a snapshot is missing or cut off. Restore \
         it, or go on from there without this log and the later ones: `zk-mini fsck --repair` moves them aside",
        file.display()
    )]
    Gap {
        /// The log.
        file: PathBuf,
        /// The last transaction before it.
        last: Zxid,
    },
    /// Transactions that a snapshot had are in nothing else.
    #[error(
        "{damage}; it held what no other file does: the valid ones end with zxid {last}. Restore it, or go on from there \
         without the rest: `zk-mini fsck --repair` moves it aside"
    )]
    Lost {
        /// What is wrong with the snapshot.
        damage: Box<Self>,
        /// The last transaction of the other files.
        last: Zxid,
    },
    /// A snapshot shows transactions that no log has: it was taken while they were done, and shows them in part.
    #[error(
        "{} shows transactions up to zxid {shown}, and the logs behind it end with {last}: restore the missing one, or \
         go on from an older snapshot: `zk-mini fsck --repair` moves this one aside", file.display()
    )]
    Ahead {
        /// The snapshot.
        file: PathBuf,
        /// The last transaction of which it shows anything.
        shown: Zxid,
        /// The last transaction of the logs.
        last: Zxid,
    },
    /// The name of a log or a snapshot does not fit what it holds: it has been renamed, or copied.
    #[error(
        "{} holds what its name does not say: {reason}. It has been renamed or copied; give it its own name back, or go on \
         without it: `zk-mini fsck --repair` moves it aside", file.display()
    )]
    Misnamed {
        /// The log or the snapshot.
        file: PathBuf,
        /// Reason, for people.
        reason: String,
    },
    /// A log is among the snapshots, or a snapshot among the logs, and these have directories of their own.
    #[error(
        "{} is in the directory for {}: data directory and log directory do not fit the data. They have been swapped, \
         or the log directory was set later: then move the logs there, or unset it", file.display(),
        if *is_log { "snapshots" } else { "logs" }
    )]
    Misplaced {
        /// The log or the snapshot.
        file: PathBuf,
        /// True if it is a log.
        is_log: bool,
    },
    /// The directory for logs has none, and that of the server before has some.
    #[error(
        "there are no logs in {}, and the last server on {} had them in {}: set that as the log directory, or move them \
         from there", dir.display(), data.display(), logs.display()
    )]
    LogsElsewhere {
        /// The directory for logs.
        dir: PathBuf,
        /// The data directory.
        data: PathBuf,
        /// Directory that the logs are in.
        logs: PathBuf,
    },
    /// The directory that was named is the one in the data directory.
    #[error(
        "{} has logs or snapshots in it; the data directory is the one above it{}", dir.display(),
        dir.parent().map(|above| format!(", {}", above.display())).unwrap_or_default()
    )]
    Inner {
        /// The directory that was named.
        dir: PathBuf,
    },
    /// There are no data to look at.
    #[error("{} is no data directory: there is no version-2 in it", dir.display())]
    NoData {
        /// The directory that was named.
        dir: PathBuf,
    },
    /// Apache ZooKeeper runs on it.
    #[error(
        "{} belongs to a running Apache ZooKeeper, process {pid}: stop that first. If that process is another, delete {}",
        dir.display(), file.display()
    )]
    Owned {
        /// The data directory.
        dir: PathBuf,
        /// The process.
        pid: i32,
        /// The file that says so.
        file: PathBuf,
    },
    /// The log that is being written is not where it was: deleted, or moved.
    #[error(
        "{} has been deleted or moved away under the server: put it back, or stop the server and restore its data \
         directory", file.display()
    )]
    Gone {
        /// The log.
        file: PathBuf,
    },
    /// Who may do what with a node is in none of the files.
    #[error(
        "the files in {} do not say who may do what with {node}: the log that follows the snapshot is missing or ends \
         too early. Restore it, or move the newest snapshot away", dir.display()
    )]
    NoAcl {
        /// The directory.
        dir: PathBuf,
        /// The node.
        node: String,
    },
    /// What the logs go on from is missing.
    #[error(
        "{} has logs, the first from {first}, but no valid snapshot that they go on from: restore the snapshots \
         beside them, or move the logs away to begin with nothing", dir.display()
    )]
    NoSnapshot {
        /// The directory.
        dir: PathBuf,
        /// The first transaction that there is.
        first: Zxid,
    },
}

impl StorageError {
    pub(super) fn io(what: &'static str, file: &Path, source: io::Error) -> Self {
        Self::Io { what, file: file.into(), source }
    }
}
