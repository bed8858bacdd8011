//! What a server allows its peers, so that none can take all the memory.

use std::num::NonZeroUsize;

/// What a server allows its peers.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// `jute.maxbuffer`: the longest frame that is read. Replies may be longer.
    pub(crate) max_frame: usize,
    /// `maxClientCnxns`: connections from one address over TCP; `None` is no limit.
    pub(crate) max_client_connections: Option<NonZeroUsize>,
    /// With more unwritten bytes than this, a connection is cut off; one reply alone may be longer.
    pub(crate) max_backlog: usize,
}

impl Limits {
    /// From this many unwritten bytes on, nothing more is read from a connection: its replies have to go first. So
    /// only watch events, which go on coming, can get it over the limit.
    pub(crate) fn pause_reading(&self) -> usize {
        self.max_backlog / 4
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
            max_client_connections: NonZeroUsize::new(60),
            max_backlog: 64 << 20,
        }
    }
}
