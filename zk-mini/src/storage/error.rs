//! What can be wrong with a data directory.

use std::io;
use std::path::{Path, PathBuf};

use zk_wire::Zxid;

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
    /// A log is damaged in its middle, where no crash can have damaged it.
    #[error(
        "{} is damaged at byte {offset}: {reason}; what comes behind cannot be trusted. To go on with what is \
         before it, move this log and the later ones away and truncate a copy to {offset} bytes", file.display()
    )]
    Log {
        /// The log.
        file: PathBuf,
        /// Where the first bad record begins.
        offset: u64,
        /// What is wrong with it.
        reason: String,
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
         it, or move this log and the later ones away to go on from there without what they hold", file.display()
    )]
    Gap {
        /// The log.
        file: PathBuf,
        /// The last transaction before it.
        last: Zxid,
    },
    /// Transactions that a snapshot had are in nothing else.
    #[error(
        "{damage}; it held what no other file does: the valid ones end with zxid {last}. Restore it, or move it away to \
         go on from there without the rest"
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
         move this snapshot away to go on from an older one", file.display()
    )]
    Ahead {
        /// The snapshot.
        file: PathBuf,
        /// The last transaction of which it shows anything.
        shown: Zxid,
        /// The last transaction of the logs.
        last: Zxid,
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
