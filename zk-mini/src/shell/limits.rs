//! Limits of what peers can make a server hold.

use std::time::Duration;

use zk_wire::Millis;

use crate::storage::DURABLE;

/// Value that ZooKeeper takes for a smaller `jute.maxbuffer.extrasize`.
const LEAST_EXTRA: usize = 1024;

/// Time in which a connection must request a session, rounded up to a multiple of it: ZooKeeper's
/// `nio.sessionlessCnxnTimeout`, which is also the interval of its checks.
pub(crate) const SESSIONLESS: Millis = Millis(10_000);

/// Limits of one server.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// `jute.maxbuffer`: maximum length of a frame that is read. Replies may be longer.
    pub(crate) max_frame: usize,
    /// `jute.maxbuffer.extrasize`: number of bytes by which a transaction may be longer; `max_frame` if not set.
    pub(crate) extra_frame: Option<usize>,
    /// `maxClientCnxns`: maximum number of TCP connections from one address; 0 or less means unlimited.
    pub(crate) max_client_connections: i32,
    /// `maxCnxns`: maximum number of TCP connections; 0 or less means unlimited.
    pub(crate) max_connections: i32,
    /// Number of unwritten bytes above which a connection is cut off; a single reply may be longer.
    pub(crate) max_backlog: usize,
    /// Time budget for the requests of one connection before others have a turn. One request at least is handled.
    pub(crate) time_slice: Duration,
}

impl Limits {
    /// Returns true if a server that has this many connections may have another.
    pub(crate) fn allows_one_more(&self, open: usize) -> bool {
        self.max_connections <= 0 || usize::try_from(self.max_connections).is_ok_and(|max| open < max)
    }

    /// Returns true if an address that has this many connections may have another.
    pub(crate) fn allows_another(&self, open: usize) -> bool {
        self.max_client_connections <= 0
            || usize::try_from(self.max_client_connections).is_ok_and(|max| open < max)
    }

    /// Returns the number of unwritten bytes from which on a connection is not read: its replies must be written first.
    /// So only watch events can bring it over the limit.
    pub(crate) fn pause_reading(&self) -> usize {
        self.max_backlog / 4
    }

    /// Returns the maximum length of a transaction: that of a record that Apache ZooKeeper reads with the same two
    /// settings, less the bytes that a log adds to it.
    pub(crate) fn max_transaction(&self) -> usize {
        let extra = self.extra_frame.unwrap_or(self.max_frame).max(LEAST_EXTRA);
        self.max_frame.saturating_add(extra).saturating_sub(DURABLE)
    }

    /// Returns the maximum length of a reply to a multiRead: it fits beside the bytes that may be unwritten when one
    /// is asked for.
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
            max_connections: 0,
            max_backlog: 64 << 20,
            time_slice: Duration::from_millis(2),
        }
    }
}
