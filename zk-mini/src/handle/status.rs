//! Figures of a whole server.

use std::sync::Arc;

use zk_wire::Zxid;

use crate::core::{Compat, Part};
use crate::handle::Handle;

/// Figures of a server at one moment.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Status {
    /// Release line of ZooKeeper that it is like.
    pub compat: Compat,
    /// Zxid of the last transaction.
    pub last_zxid: Zxid,
    /// Number of nodes, with the system's nodes.
    pub nodes: usize,
    /// Number of sessions that are alive.
    pub sessions: usize,
    /// Number of open connections, with or without a session.
    pub connections: usize,
    /// Number of watches, as the four-letter words count them: pairs of connection and path.
    pub watches: usize,
    /// True if the clock moves only by hand.
    pub clock_held: bool,
    /// True if the server is frozen; see [`Handle::freeze`].
    pub frozen: bool,
    /// True if the server is down; see [`Handle::take_down`].
    pub down: bool,
    /// True if the disk is lost, and writes are refused.
    pub read_only: bool,
    /// True if the server has been stopped.
    pub stopped: bool,
}

/// Status.
impl Handle {
    /// Returns the figures of the server, without listing anything: it takes a microsecond.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), zk_mini::Error> {
    /// use zk_mini::ZkMini;
    ///
    /// let zk = ZkMini::start().await?;
    /// let status = zk.status();
    /// assert_eq!((status.sessions, status.connections, status.watches), (0, 0, 0));
    /// assert!(status.nodes > 0 && !status.clock_held && !status.frozen);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn status(&self) -> Status {
        let compat = self.engine.setup.configuration.compat;
        self.see(|state| Status {
            compat,
            last_zxid: state.core.last_zxid(),
            nodes: state.core.node_count(),
            sessions: state.core.session_count(),
            connections: state.connections.iter().filter(|(conn, _)| state.core.shows(*conn)).count(),
            watches: state.core.watch_count(),
            clock_held: state.clock.is_held(),
            frozen: state.core.is_part_frozen(Part::Server),
            down: state.core.is_down(),
            read_only: state.core.is_read_only(),
            stopped: state.stopped,
        })
    }

    /// Returns the reason why the disk cannot be written, in the words of the system; `None` while it works, and in memory.
    #[must_use]
    pub fn disk_failure(&self) -> Option<Arc<str>> {
        self.engine.look(|state| state.disk_failure.clone())
    }
}
