//! The state on disk, in Apache ZooKeeper's own format: either server can continue on the other's directory.
//!
//! `version-2/snapshot.ZXID` is the state after that transaction; `version-2/log.ZXID` has the transactions from that
//! one on. A start reads the newest valid snapshot and the logs behind it, writes a new snapshot, and begins a new
//! log with its first transaction. No rule of the protocol is here.
//!
//! # After a crash, and after damage
//! A crash can leave the last write to a log in pieces: each sector of it is there or is zeros, and its end may be
//! missing. No client was told of that write, so the next start cuts the pieces off. All other faults are damage, on
//! which no server starts ([`StorageError::Log`]): a record with a flipped bit, for example, or a bad record with a
//! whole record of a later write behind it. Records show which write they are of: each is followed by the offset up
//! to which the log was durable when it was written, in eight bytes that Apache ZooKeeper skips. Logs of Apache
//! ZooKeeper do not have it; there, any whole record behind a bad one makes it damage. In the last write alone the
//! two can look alike, as when a sector is lost. So the bytes that are cut off are kept, and the start and `fsck`
//! name the file, the offset and the size.
//!
//! Parts that a start cuts off, or that [`repair`](repair()) takes out so that a server starts again, go to *side files* in the
//! same directory: `zk-mini.cut.LOG.from-byte-N` has the bytes of a log from that offset on, and
//! `zk-mini.removed.FILE` is a whole log or snapshot. No server reads or deletes them, and none replaces another.
//!
//! # Other refusals
//! No server starts if the name of a log or a snapshot does not fit its content; if logs are in the directory for
//! snapshots or the other way round; if the log directory has no logs while that of the last server has some; if a
//! `version-2` is given in place of the data directory; if zxids are missing between two logs; or if
//! `zookeeper_server.pid` names a process that is alive. The server warns of a `myid`, by which the directory belongs
//! to a member of an ensemble.
//!
//! If a log is deleted or moved away under a server, the next write notices it before it is acknowledged: no client
//! is answered until the log is back. Other missing files are noticed by the next start.

mod ahead;
mod compressed;
mod disk;
mod error;
mod files;
mod log;
mod note;
mod owner;
mod recovery;
mod repair;
mod secret;
mod settings;
mod side;
mod snapshot;
mod snapshot_bytes;
mod snapshots;
mod store;
mod tail;
mod txn;

pub use disk::SimulatedDisk;
pub use error::{Loss, StorageError};
pub use recovery::{LongRecord, Recovery, recover};
pub use repair::{Moved, Repair, repair};
pub use settings::SyncMode;
pub use snapshot_bytes::SnapshotError;

pub(crate) use disk::Device;
pub(crate) use files::Files;
pub(crate) use settings::Settings;
pub(crate) use snapshot_bytes::{image_from_bytes, image_to_bytes};
pub(crate) use snapshots::Snapshots;
pub(crate) use store::Store;
pub(crate) use txn::DURABLE;
