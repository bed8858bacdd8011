//! Names of the nodes that contend for a lock. Pure.

use crate::guid::Guid;

/// Names that a recipe gives to its nodes.
///
/// Ours understand every name, and stand behind every node with a lower counter; this choice is for the others. Curator
/// looks at its own names only. kazoo does, too, unless it is told of more by `extra_lock_patterns`. So the default suits a
/// fleet with Curator, and one with kazoo whose locks are made as below; [`Self::Kazoo`] suits programs in Python that nobody
/// can change.
///
/// | | lock | read and write lock | election |
/// | --- | --- | --- | --- |
/// | Curator | `InterProcessMutex` | `InterProcessReadWriteLock` | `LeaderSelector`; `LeaderLatch` with [`Self::LeaderLatch`] |
/// | kazoo | `Lock(…, extra_lock_patterns=["lock-"])` | `WriteLock(…, extra_lock_patterns=["__READ__", "__WRIT__"])`, `ReadLock(…, extra_lock_patterns=["__WRIT__"])` | `election.lock = Lock(…)` likewise |
///
/// Curator never sees a lock of kazoo, so those two alone do not exclude each other, whatever ours are called.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Naming {
    /// `_c_<uuid>-lock-0000000000`, and `__READ__` and `__WRIT__` in place of `lock-`.
    #[default]
    Curator,
    /// `<32 digits>__lock__0000000000`, and `__rlock__` for reading.
    Kazoo,
    /// `_c_<uuid>-latch-0000000000`, for elections; as [`Self::Curator`] for all else.
    LeaderLatch,
}

/// Purpose of a node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    /// Excludes all others.
    Mutex,
    /// Leads, and excludes all others.
    Leader,
    /// Excludes all others, where some share.
    Write,
    /// Shares with others of this kind.
    Read,
    /// Has one of so many places.
    Lease(usize),
}

impl Naming {
    /// Returns the name of a node, up to the counter.
    pub(crate) fn name(self, guid: Guid, role: Role) -> String {
        match (self, role) {
            (_, Role::Lease(_)) => guid.curator("lease-"),
            (Self::Kazoo, Role::Read) => guid.kazoo("__rlock__"),
            (Self::Kazoo, _) => guid.kazoo("__lock__"),
            (Self::LeaderLatch, Role::Leader) => guid.curator("latch-"),
            (_, Role::Mutex | Role::Leader) => guid.curator("lock-"),
            (_, Role::Read) => guid.curator("__READ__"),
            (_, Role::Write) => guid.curator("__WRIT__"),
        }
    }
}
