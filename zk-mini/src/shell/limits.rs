//! What a server allows its peers, so that none can take all the memory.

use std::time::Duration;

use zk_wire::Millis;

use crate::storage::DURABLE;

/// Longest frame, whatever is set: text in it may be three times as long when it is written again, with what is
/// not UTF-8 replaced, and still has a length then.
pub(crate) const LONGEST_FRAME: usize = 512 << 20;

/// The value that ZooKeeper takes for a smaller `jute.maxbuffer.extrasize`.
const LEAST_EXTRA: usize = 1024;

/// Time that a connection has to ask for a session, rounded up to a multiple of it: ZooKeeper's `nio.sessionlessCnxnTimeout`,
/// and the interval at which it looks for connections to close.
pub(crate) const SESSIONLESS: Millis = Millis(10_000);

/// What a server allows its peers.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// `jute.maxbuffer`: the longest frame that is read. Replies may be longer.
    pub(crate) max_frame: usize,
    /// `jute.maxbuffer.extrasize`: by how much a transaction may be longer; `None` is as much again.
    pub(crate) extra_frame: Option<usize>,
    /// `maxClientCnxns`: connections from one address over TCP; no limit if it is 0 or less.
    pub(crate) max_client_connections: i32,
    /// With more unwritten bytes than this, a connection is cut off; one reply alone may be longer.
    pub(crate) max_backlog: usize,
    /// Maximum time for which one connection's requests are handled before others have their turn. At least one request is.
    pub(crate) time_slice: Duration,
}

impl Limits {
    /// Returns whether an address that has so many connections may have another.
    pub(crate) fn allows_another(&self, open: usize) -> bool {
        self.max_client_connections <= 0
            || usize::try_from(self.max_client_connections).is_ok_and(|max| open < max)
    }

    /// From this many unwritten bytes on, nothing more is read from a connection: its replies have to go first. So
    /// only watch events, which go on coming, can get it over the limit.
    pub(crate) fn pause_reading(&self) -> usize {
        self.max_backlog / 4
    }

    /// The longest transaction: the longest record of a log that Apache ZooKeeper reads with the same two settings, less
    /// what a log adds to it.
    pub(crate) fn max_transaction(&self) -> usize {
        let extra = self.extra_frame.unwrap_or(self.max_frame).max(LEAST_EXTRA);
        self.max_frame.saturating_add(extra).saturating_sub(DURABLE)
    }

    /// The longest reply to a multiRead: beside what may be unwritten when one is asked for, it still fits.
    pub(crate) fn max_multi_read(&self) -> usize {
        self.max_backlog - self.pause_reading()
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_frame: zk_wire::DEFAULT_MAX_FRAME,
            extra_frame: None,
            max_client_connections: 60,
            max_backlog: 64 << 20,
            time_slice: Duration::from_millis(2),
        }
    }
}
