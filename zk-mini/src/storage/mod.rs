//! The state on disk, in Apache ZooKeeper's own format: a directory can be handed over to it, and back.
//!
//! `version-2/snapshot.ZXID` is the state after that transaction, `version-2/log.ZXID` the transactions from that
//! one on. A start reads the newest valid snapshot and the logs behind it, writes a snapshot of its own, and begins a
//! new log with its first transaction. Nothing here knows a rule of the protocol.
//!
//! # After a crash, and after damage
//! A crash can leave the last write to a log in pieces: each sector of it is there or is zeros, and it may lack its end.
//! Nobody was told of that write, so the next start cuts the pieces off. Everything else is damage, on which no server
//! starts ([`StorageError::Log`]): a record with a flipped bit, or one that a whole record from a later write follows.
//! Records tell of that themselves: each has behind it, in eight bytes that Apache ZooKeeper reads over, up to where the log
//! was durable when it was written. In logs of Apache ZooKeeper, which do not say so, any whole record that follows makes
//! it damage. In the last write alone the two can be alike, a lost sector for example; so what is cut off is kept, and the
//! start and `fsck` name the file, the byte and the size.
//!
//! Parts that a start cuts off, or that [`repair`] takes out so that a server starts again, go to *side files* in the same
//! directory: `zk-mini.cut.LOG.from-byte-N` has what stood in a log from that byte on, `zk-mini.removed.FILE` is a whole log
//! or snapshot. No server reads or deletes them, and none replaces another.
//!
//! # What else is refused
//! A log or a snapshot whose name does not fit what it holds; logs among the snapshots or snapshots among the logs, if these
//! have directories of their own; a directory for logs that has none while that of the server before has some; a
//! `version-2` in place of the data directory; numbers that are missing between two logs; a directory whose
//! `zookeeper_server.pid` names a process that lives. A `myid`, which says that the directory is a member's of an
//! ensemble, is warned of.
//!
//! A log that is deleted or moved away under a server is noticed at the next write, before that is acknowledged: nobody is
//! answered until it is back. Other files that go away are noticed by the next start.

mod disk;
mod error;
mod files;
mod log;
mod owner;
mod recovery;
mod repair;
mod secret;
mod settings;
mod side;
mod snapshot;
mod snapshots;
mod store;
mod tail;
mod txn;

pub use disk::SimulatedDisk;
pub use error::{Loss, StorageError};
pub use recovery::{LongRecord, Recovery, recover};
pub use repair::{Moved, Repair, repair};
pub use settings::SyncMode;

pub(crate) use disk::Device;
pub(crate) use files::Files;
pub(crate) use settings::Settings;
pub(crate) use snapshots::Snapshots;
pub(crate) use store::Store;
pub(crate) use txn::DURABLE;
