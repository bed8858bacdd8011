//! Entry of a queue. Pure.

use bytes::Bytes;

/// Entry of a [`Queue`](crate::Queue) or a [`LockingQueue`](crate::LockingQueue).
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct QueueEntry {
    /// Path of its node.
    pub path: String,
    /// Data of its node.
    pub data: Bytes,
}
