//! Inspection of a running server without a client.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use zk_wire::{Acl, Perms, SessionId, Stat, UnixMillis, Zxid};

use crate::core::{AccessError, ConnId, Credentials, NoSubtree, NodeInfo, Peer, Reach, Subtree, WatchInfo};
use crate::handle::Handle;
use crate::report::figures::ConnectionFigures;
use crate::shell::state::ServerState;

/// An open connection.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// Number of the connection, as in [`SessionInfo::conn`](crate::SessionInfo::conn).
    pub id: ConnId,
    /// Address of the other end; `None` if it is in this process.
    pub remote: Option<SocketAddr>,
    /// Session of the connection, once there is one.
    pub session: Option<SessionId>,
    /// Number of frames received since the connection was accepted or the last `crst`.
    pub received: u64,
    /// Number of frames sent, replies and watch events, since then.
    pub sent: u64,
    /// Time at which it was accepted, by the server's wall clock.
    pub since: UnixMillis,
    /// True if nothing that it sends is handled, and nothing is sent to it: the connection, its session, its listener or
    /// the server is frozen.
    pub frozen: bool,
}

/// Inspection, without a session, a request or a watch: no client notices. The result of one call is consistent; two
/// calls may see different states.
impl Handle {
    /// Returns the data and the stat of a node; `None` if there is no such node. Null data is returned as empty.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<(Bytes, Stat)> {
        let node = self.node(path)?;
        Some((node.data.unwrap_or_default(), node.stat))
    }

    /// Returns a node as it is, with its ACL, and with null and empty data kept apart; `None` if there is no such node.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use zk_mini::ZkMini;
    ///
    /// let zk = ZkMini::start().await?;
    /// zk.create("/a", "text").await?;
    /// let node = zk.node("/a").ok_or("no node")?;
    /// assert_eq!((node.data.as_deref(), node.stat.data_length), (Some(&b"text"[..]), 4));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn node(&self, path: &str) -> Option<NodeInfo> {
        self.see(|state| state.core.node(path))
    }

    /// Returns a node and the nodes below it, down to a depth, at one moment.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use zk_mini::{Reach, ZkMini};
    ///
    /// let zk = ZkMini::start().await?;
    /// zk.create("/services/echo/a", "").parents().await?;
    /// let subtree = zk.subtree("/services", &Reach { depth: 2, ..Reach::default() })?;
    /// let paths: Vec<_> = subtree.nodes.iter().map(|node| &*node.path).collect();
    /// assert_eq!(paths, ["/services", "/services/echo", "/services/echo/a"]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`NoSubtree`], also if there is more than `reach` allows.
    pub fn subtree(&self, path: &str, reach: &Reach) -> Result<Subtree, NoSubtree> {
        self.see(|state| state.core.subtree(path, reach))
    }

    /// Returns a node and the nodes below it as they were after a transaction. Unlike [`tree_at`](Self::tree_at) it looks
    /// only at what has changed since, and at what it returns.
    ///
    /// # Errors
    /// [`NoSubtree`]
    pub fn subtree_at(&self, zxid: Zxid, path: &str, reach: &Reach) -> Result<Subtree, NoSubtree> {
        self.engine.look(|state| state.core.subtree_at(zxid, path, reach))
    }

    /// Returns the names of a node's children, sorted; `None` if there is no such node.
    #[must_use]
    pub fn children(&self, path: &str) -> Option<Vec<String>> {
        let names = self.see(|state| state.core.children(path))?;
        Some(names.iter().map(ToString::to_string).collect())
    }

    /// Returns the access control list of a node; `None` if there is no such node.
    #[must_use]
    pub fn acl(&self, path: &str) -> Option<Vec<Acl>> {
        Some(self.node(path)?.acl.to_vec())
    }

    /// Returns all watches, of every kind, sorted by path. The server waits while they are collected.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), zk_mini::Error> {
    /// use zk_mini::ZkMini;
    /// use zk_mini::core::WatchKind;
    ///
    /// let zk = ZkMini::start().await?;
    /// let watches = zk.watches();
    /// let subscribers =
    ///     watches.iter().filter(|watch| watch.path == "/services/echo" && watch.kind == WatchKind::Children);
    /// assert_eq!(subscribers.count(), 0);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn watches(&self) -> Vec<WatchInfo> {
        WatchInfo::sorted(self.see(|state| state.core.unsorted_watches()))
    }

    /// Returns the open connections, in the order in which they were accepted, with or without a session.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionInfo> {
        let connections = self.see(ServerState::connection_figures);
        let info = |figures: ConnectionFigures| ConnectionInfo {
            id: figures.conn,
            remote: figures.remote,
            session: figures.session.map(|(id, _)| id),
            received: figures.stats.received,
            sent: figures.stats.sent,
            since: figures.established,
            frozen: figures.frozen,
        };
        connections.into_iter().map(info).collect()
    }

    /// Checks that a node's ACL gives each of `perms` to somebody at an address who shows credentials: as for a client that has
    /// sent them, without a connection.
    ///
    /// # Errors
    /// [`AccessError`]
    pub fn authorize(
        &self,
        ip: IpAddr,
        credentials: Credentials<'_>,
        path: &str,
        perms: Perms,
    ) -> Result<(), AccessError> {
        // On a port for both families a client of IPv4 has an address of IPv6, as it has not for ZooKeeper's clients.
        let peer = Peer { ip: ip.to_canonical(), port: 0 };
        self.engine.look(|state| state.core.authorize(peer, credentials, path, perms))
    }

    /// Returns the zxid of the last transaction.
    #[must_use]
    pub fn last_zxid(&self) -> Zxid {
        self.see(|state| state.core.last_zxid())
    }
}
