//! Looking at a server without a client.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use zk_wire::{Acl, SessionId, Stat, Zxid};

use crate::core::{ConnId, SessionInfo, WatchInfo};
use crate::shell::connections::Entry;
use crate::shell::engine::Engine;

/// A look at a server's state that no client notices: no session, no request, no watch. What one call returns is
/// from one moment; two calls may be from two.
#[derive(Clone, Debug)]
pub struct Direct<'a> {
    engine: &'a Arc<Engine>,
}

/// A connection as it is.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// Its number, as in [`SessionInfo::conn`].
    pub id: ConnId,
    /// The other end; `None` if it is in this process.
    pub remote: Option<SocketAddr>,
    /// The session that is used over it, once there is one.
    pub session: Option<SessionId>,
    /// Frames received; `crst` begins anew.
    pub received: u64,
    /// Frames sent: replies and watch events; likewise.
    pub sent: u64,
}

impl<'a> Direct<'a> {
    pub(crate) fn new(engine: &'a Arc<Engine>) -> Self {
        Self { engine }
    }

    /// A node's data and what is kept about it, if there is such a node. Null data comes as empty.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<(Bytes, Stat)> {
        let node = self.engine.look(|state| state.core.node(path))?;
        Some((node.data.unwrap_or_default(), node.stat))
    }

    /// The names of a node's children, sorted; `None` if there is no such node.
    #[must_use]
    pub fn children(&self, path: &str) -> Option<Vec<String>> {
        let names = self.engine.look(|state| state.core.children(path))?;
        Some(names.iter().map(ToString::to_string).collect())
    }

    /// Access control list of a node: who may do what with it; `None` if there is no such node.
    #[must_use]
    pub fn acl(&self, path: &str) -> Option<Vec<Acl>> {
        Some(self.engine.look(|state| state.core.node(path))?.acl.to_vec())
    }

    /// All watches, of every kind, sorted by path: who is told of changes where. The server waits while they are listed.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), zk_mini::Error> {
    /// use zk_mini::ZkMini;
    /// use zk_mini::core::WatchKind;
    ///
    /// let zk = ZkMini::start().await?;
    /// let watches = zk.direct().watches();
    /// let subscribers =
    ///     watches.iter().filter(|watch| watch.path == "/services/echo" && watch.kind == WatchKind::Children);
    /// assert_eq!(subscribers.count(), 0);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn watches(&self) -> Vec<WatchInfo> {
        self.engine.look(|state| state.core.watches())
    }

    /// The sessions that are alive, sorted by id.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionInfo> {
        self.engine.look(|state| state.core.sessions())
    }

    /// The open connections, in the order in which they were accepted, with or without a session.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionInfo> {
        self.engine.look(|state| {
            let sessions: BTreeMap<_, _> =
                state.core.connections().iter().map(|info| (info.conn, info.session)).collect();
            let info = |(id, entry): (ConnId, &Entry)| ConnectionInfo {
                id,
                remote: entry.remote,
                session: sessions.get(&id).copied().flatten(),
                received: entry.stats.received,
                sent: entry.stats.sent,
            };
            state.connections.iter().map(info).collect()
        })
    }

    /// The number of the last transaction.
    #[must_use]
    pub fn last_zxid(&self) -> Zxid {
        self.engine.look(|state| state.core.last_zxid())
    }
}
