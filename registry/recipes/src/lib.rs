//! The recipes of ZooKeeper for tokio: locks, semaphores, elections, barriers, queues, counters, and a cache of a tree.
//!
//! Every recipe takes a [`zk_client::Client`] and a path, and holds on bad days: a lost reply, an expired session, a deleted node, a
//! server that falls silent.
//!
//! | | | with Curator | with kazoo |
//! | --- | --- | --- | --- |
//! | [`Lock`] | one at a time | `InterProcessMutex` | `Lock` |
//! | [`ReadWriteLock`] | many that read, or one that writes | `InterProcessReadWriteLock` | `ReadLock`, `WriteLock` |
//! | [`Semaphore`] | so many at a time | `InterProcessSemaphoreV2` | |
//! | [`Election`] | one leads, the others stand by | `LeaderSelector`, `LeaderLatch` | `Election` |
//! | [`Barrier`] | closed and opened for all | `DistributedBarrier` | `Barrier` |
//! | [`DoubleBarrier`] | members go in together, and out together | `DistributedDoubleBarrier` | `DoubleBarrier` |
//! | [`Queue`] | each entry is taken once | `DistributedQueue`, `DistributedPriorityQueue` | `Queue` |
//! | [`LockingQueue`] | entries are claimed, and removed when they are done | `DistributedQueue` with a lock path | `LockingQueue` |
//! | [`Counter`] | a number that many change | `SharedCount`, `DistributedAtomicInteger`, `DistributedAtomicLong` | `Counter` |
//! | [`TreeCache`] | the nodes below a path, in memory | | |
//!
//! Those of a line work together on the same path, so a fleet may be mixed; [`Naming`] says what the locks of the others need for it.
//!
//! Code without async writes `wait()` for every `.await`, with [`zk_client::blocking::Wait`]:
//!
//! ```
//! use zk_client::Client;
//! use zk_client::blocking::Wait;
//! use zk_recipes::{Election, Lock};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let zk = zk_mini::ZkMini::start().wait()?;
//! # let servers = zk.connect_string();
//! let client = Client::connect(&servers).wait()?;
//! let guard = Lock::new(&client, "/locks/report").acquire().wait()?;
//! guard.release().wait()?;
//! let mut candidate = Election::new(&client, "/election").stand();
//! candidate.lead().wait()?;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod barrier;
mod contender;
mod counter;
mod double_barrier;
mod election;
mod error;
mod guard;
mod guid;
mod leader;
mod lock;
mod naming;
mod node;
mod patience;
mod protected;
mod queue;
mod queue_entry;
mod queueing;
mod read_write_lock;
mod semaphore;
mod sequence;
mod tree_cache;

pub use barrier::Barrier;
pub use contender::Loss;
pub use counter::{Counter, CounterFormat};
pub use double_barrier::{BarrierMember, DoubleBarrier};
pub use election::{Candidate, Election, Standing};
pub use error::Error;
pub use guard::{Guard, Holding};
pub use leader::LeaderWatch;
pub use lock::Lock;
pub use naming::Naming;
pub use queue::{Claim, LockingQueue, Priority, Queue, QueueNames, curator_items};
pub use queue_entry::QueueEntry;
pub use read_write_lock::ReadWriteLock;
pub use semaphore::Semaphore;
pub use tree_cache::{Tree, TreeCache, TreeChange, TreeNode, TreeOptions};
