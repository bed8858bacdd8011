//! The recipes of ZooKeeper for tokio: locks, semaphores, elections, barriers, queues, counters, and a cache of a tree.
//!
//! Every recipe takes a [`zk_client::Client`] and a path, and holds on bad days: a lost reply, an expired session, a deleted node, a
//! server that falls silent.
#![forbid(unsafe_code)]

mod error;
mod guid;
mod patience;
mod protected;

pub use error::Error;
