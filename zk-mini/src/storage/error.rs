//! Faults of a data directory.

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
    /// Zxid of the last of these.
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

/// Reason why a data directory cannot be used. Nothing in it has been deleted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The system refuses an operation.
    #[error("cannot {what} {}: {source}", file.display())]
    Io {
        /// Operation, a verb.
        what: &'static str,
        /// File or directory of the operation.
        file: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
    /// Another zk-mini has the directory.
    #[error("{} belongs to a running zk-mini: stop that, or choose another data directory", dir.display())]
    Locked {
        /// Data directory.
        dir: PathBuf,
    },
    /// The secret file for session passwords has the wrong length.
    #[error(
        "{} is not a valid secret file: it must have {expected} bytes. Restore it; or delete it, which ends all \
         sessions", file.display()
    )]
    Secret {
        /// File of the secret.
        file: PathBuf,
        /// Length of a secret in bytes.
        expected: usize,
    },
    /// A log is damaged, and no crash leaves such damage.
    #[error(
        "{}. No crash leaves such damage, so the log is not cut off there: that would lose {loss}, and the later logs. \
         Restore the log, or continue without these: `zk-mini fsck --repair` moves them to side files",
        damaged(file, offset, reason)
    )]
    Log {
        /// Damaged log.
        file: PathBuf,
        /// Offset of the first bad record.
        offset: u64,
        /// Description of the damage.
        reason: String,
        /// Contents of this log behind the damage.
        loss: Loss,
    },
    /// A snapshot is damaged.
    #[error("{}", damaged(file, offset, reason))]
    Snapshot {
        /// Damaged snapshot.
        file: PathBuf,
        /// Offset up to which it could be read.
        offset: usize,
        /// Description of the damage.
        reason: String,
    },
    /// A log does not continue where the log or the snapshot before it ends.
    #[error(
        "{}. Restore it, or continue from there without this log and the later ones: `zk-mini fsck --repair` moves them aside",
        gap(file, *last)
    )]
    Gap {
        /// Log that does not continue.
        file: PathBuf,
        /// Zxid of the last transaction before it.
        last: Zxid,
    },
    /// Transactions of a damaged snapshot are in no other file.
    #[error(
        "{}. Restore it, or continue from there without them: `zk-mini fsck --repair` moves it aside", lost(damage, *last)
    )]
    Lost {
        /// Damage of the snapshot.
        damage: Box<Self>,
        /// Zxid of the last transaction of the other files.
        last: Zxid,
    },
    /// A snapshot shows transactions that no log has. It was taken while they were applied, so that it shows them in
    /// part.
    #[error(
        "{}: restore the missing one, or continue from an older snapshot: `zk-mini fsck --repair` moves this one aside",
        ahead(file, *shown, *last)
    )]
    Ahead {
        /// Snapshot that shows them.
        file: PathBuf,
        /// Zxid of the last transaction that it shows at least in part.
        shown: Zxid,
        /// Zxid of the last transaction of the logs.
        last: Zxid,
    },
    /// The name of a log or a snapshot does not fit its content: it has been renamed, or copied.
    #[error(
        "{}. It has been renamed or copied: give it its own name back, or continue without it: `zk-mini fsck --repair` \
         moves it aside",
        misnamed(file, reason)
    )]
    Misnamed {
        /// Log or snapshot with the wrong name.
        file: PathBuf,
        /// Description of the contradiction.
        reason: String,
    },
    /// A log is in the directory for snapshots, or a snapshot in the directory for logs.
    #[error(
        "{} is in the directory for {}: data directory and log directory do not fit the data. They have been swapped, \
         or the log directory was set later: then move the logs there, or unset it", file.display(),
        if *is_log { "snapshots" } else { "logs" }
    )]
    Misplaced {
        /// Log or snapshot in the wrong directory.
        file: PathBuf,
        /// True if it is a log.
        is_log: bool,
    },
    /// The directory for logs is empty, and the log directory of the last server is not.
    #[error(
        "there are no logs in {}, and the last server on {} had them in {}: set that as the log directory, or move them \
         from there", dir.display(), data.display(), logs.display()
    )]
    LogsElsewhere {
        /// Directory for logs.
        dir: PathBuf,
        /// Data directory.
        data: PathBuf,
        /// Directory for logs of the last server.
        logs: PathBuf,
    },
    /// The directory is not a data directory but the `version-2` in one.
    #[error(
        "{} has logs or snapshots in it; the data directory is the one above it{}", dir.display(),
        dir.parent().map(|above| format!(", {}", above.display())).unwrap_or_default()
    )]
    Inner {
        /// Directory that was given.
        dir: PathBuf,
    },
    /// There is no data to read.
    #[error("{} is not a data directory: there is no version-2 in it", dir.display())]
    NoData {
        /// Directory that was given.
        dir: PathBuf,
    },
    /// There are the directories for data, and no data in them.
    #[error(
        "there is no data in {}: neither a snapshot nor a log. Restore it; a server begins with an empty tree there",
        dir.display()
    )]
    Empty {
        /// Directory for snapshots.
        dir: PathBuf,
    },
    /// Apache ZooKeeper runs on the directory.
    #[error(
        "{} belongs to a running Apache ZooKeeper, process {pid}: stop it first. If that is another process, delete {}",
        dir.display(), file.display()
    )]
    Owned {
        /// Data directory.
        dir: PathBuf,
        /// Process id of Apache ZooKeeper.
        pid: i32,
        /// File that holds the process id.
        file: PathBuf,
    },
    /// The log that is being written has been deleted or moved away.
    #[error(
        "{} has been deleted or moved away under the server: put it back, or stop the server and restore its data \
         directory", file.display()
    )]
    Gone {
        /// Log that is missing.
        file: PathBuf,
    },
    /// The access control list of a node is in none of the files.
    #[error(
        "the files in {} do not have the access control list of {node}: the log behind the snapshot is missing or ends \
         too early. Restore it, or move the newest snapshot away", dir.display()
    )]
    NoAcl {
        /// Data directory.
        dir: PathBuf,
        /// Path of the node.
        node: String,
    },
    /// There are logs, but no snapshot that they continue.
    #[error(
        "{} has logs from {first} on, but no valid snapshot that they continue: restore the snapshots \
         beside them, or move the logs away to begin with nothing", dir.display()
    )]
    NoSnapshot {
        /// Data directory.
        dir: PathBuf,
        /// Zxid of the first log.
        first: Zxid,
    },
}

impl StorageError {
    /// Returns what is wrong, without what to do about it: for a report on a repair that has been done.
    #[must_use]
    pub fn fault(&self) -> String {
        match self {
            Self::Log { file, offset, reason, .. } => damaged(file, offset, reason),
            Self::Gap { file, last } => gap(file, *last),
            Self::Lost { damage, last } => lost(damage, *last),
            Self::Ahead { file, shown, last } => ahead(file, *shown, *last),
            Self::Misnamed { file, reason } => misnamed(file, reason),
            other => other.to_string(),
        }
    }

    pub(super) fn io(what: &'static str, file: &Path, source: io::Error) -> Self {
        Self::Io { what, file: file.into(), source }
    }
}

fn damaged(file: &Path, offset: &dyn Display, reason: &str) -> String {
    format!("{} is damaged at byte {offset}: {reason}", file.display())
}

fn gap(file: &Path, last: Zxid) -> String {
    format!(
        "{} begins after zxid {last}, with which the files before it end: a log or a snapshot is missing or cut off",
        file.display()
    )
}

fn lost(damage: &StorageError, last: Zxid) -> String {
    format!("{damage}; it has transactions that no other file has: the valid ones end with zxid {last}")
}

fn ahead(file: &Path, shown: Zxid, last: Zxid) -> String {
    format!(
        "{} shows transactions up to zxid {shown}, and the logs behind it end with {last}",
        file.display()
    )
}

fn misnamed(file: &Path, reason: &str) -> String {
    format!("the content of {} does not fit its name: {reason}", file.display())
}
