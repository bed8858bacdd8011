//! Looking at the state without a client.

use std::sync::Arc;

use bytes::Bytes;
use zk_wire::{Acl, ByteString, EventType, Millis, SessionId, Stat, Zxid};

use crate::core::figures::{ReadAndWritten, WatchersTold};
use crate::core::peer::PeerState;
use crate::core::watch::{WatchMode, WatchTable};
use crate::core::{ConnId, Core, Peer, Totals};

/// A node as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeInfo {
    /// Its data; null and empty are kept apart.
    pub data: Option<Bytes>,
    /// Who may do what.
    pub acl: Arc<[Acl]>,
    /// The rest.
    pub stat: Stat,
}

/// A session as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionInfo {
    /// Its identity.
    pub id: SessionId,
    /// Its negotiated timeout.
    pub timeout: Millis,
    /// The connection that it is used from, if there is one.
    pub conn: Option<ConnId>,
    /// When it ends if nothing more is heard of it.
    pub expires: Millis,
    /// Its ephemeral nodes, sorted.
    pub ephemerals: Vec<ByteString>,
}

/// A connection as it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConnectionInfo {
    /// The connection.
    pub conn: ConnId,
    /// Its other end.
    pub peer: Peer,
    /// The session that it is used for; none before the handshake.
    pub session: Option<SessionId>,
}

/// Kind of changes that a watch tells of.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum WatchKind {
    /// One change of a node's data, or of its being there (`getData`, `exists`).
    Data,
    /// One change of a node's list of children (`getChildren`).
    Children,
    /// All that happens to a node and to its list of children (`addWatch`), until it is removed.
    Persistent,
    /// All that happens to a node and to those below it (`addWatch`, recursive), until it is removed.
    Recursive,
}

/// A watch as it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WatchInfo {
    /// The path; there need not be a node.
    pub path: ByteString,
    /// Kind of changes that it tells of.
    pub kind: WatchKind,
    /// The connection that is told. A watch ends with its connection.
    pub conn: ConnId,
    /// The session that the connection is used for.
    pub session: Option<SessionId>,
}

impl Core {
    /// Numbers of watchers that heard of each event of a kind.
    pub(crate) fn watchers_told(&self, kind: EventType) -> Totals {
        self.watches.fired.totals(kind)
    }

    /// Each namespace, a node of the root, with the sizes of what was read and written there, by name.
    pub(crate) fn namespaces(&self) -> Vec<(&str, ReadAndWritten)> {
        self.namespaces.by_name()
    }

    /// Begins to count anew what is counted here.
    pub(crate) fn reset_figures(&mut self) {
        self.watches.fired = WatchersTold::default();
        self.namespaces.reset();
    }

    /// A node.
    #[must_use]
    pub fn node(&self, path: &str) -> Option<NodeInfo> {
        self.tree.get(path).map(|node| NodeInfo {
            data: node.data.clone(),
            acl: Arc::clone(node.acl.entries()),
            stat: node.stat(),
        })
    }

    /// The names of a node's children, sorted.
    #[must_use]
    pub fn children(&self, path: &str) -> Option<Vec<ByteString>> {
        self.tree.get(path).map(|node| node.children.iter().cloned().collect())
    }

    /// Returns the number of nodes below a node, without walking over them.
    #[must_use]
    pub fn descendant_count(&self, path: &str) -> Option<usize> {
        self.tree.get(path)?;
        usize::try_from(self.tree.weight_below(path).nodes).ok()
    }

    /// The sessions, sorted by id.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionInfo> {
        let info = |id: SessionId| {
            let session = self.sessions.get(id)?;
            Some(SessionInfo {
                id,
                timeout: session.current_timeout,
                conn: session.conn,
                expires: session.expires,
                ephemerals: self.tree.ephemerals(id),
            })
        };
        self.sessions.ids().into_iter().filter_map(info).collect()
    }

    /// The connections that are used for sessions, with the session and its timeout, in no order.
    pub(crate) fn session_conns(&self) -> impl Iterator<Item = (ConnId, SessionId, Millis)> {
        self.peers.iter().filter_map(|(conn, peer)| {
            let session = self.sessions.get(peer.session?)?;
            Some((*conn, peer.session?, session.current_timeout))
        })
    }

    /// The connections, sorted.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionInfo> {
        let info = |(&conn, peer): (&ConnId, &PeerState)| ConnectionInfo {
            conn,
            peer: peer.address,
            session: peer.session,
        };
        let mut connections: Vec<_> = self.peers.iter().map(info).collect();
        connections.sort_unstable_by_key(|connection| connection.conn);
        connections
    }

    /// The number of the last transaction.
    #[must_use]
    pub fn last_zxid(&self) -> Zxid {
        self.last_zxid
    }

    /// How many sessions there are.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// How many nodes there are, the system's included.
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.tree.len()
    }

    /// How many of the nodes are ephemeral.
    #[must_use]
    pub fn ephemeral_count(&self) -> usize {
        self.tree.ephemeral_count()
    }

    /// How many watches are set: connection and path, for data and for children.
    #[must_use]
    pub fn watch_count(&self) -> usize {
        self.watches.count()
    }

    /// Bytes of all paths and data.
    #[must_use]
    pub fn data_size(&self) -> usize {
        self.tree.data_size()
    }

    /// All watches, of every kind: sorted by path, then by kind and connection.
    #[must_use]
    pub fn watches(&self) -> Vec<WatchInfo> {
        let mut watches = Vec::new();
        let tables = [(&self.watches.data, WatchKind::Data), (&self.watches.child, WatchKind::Children)];
        for (table, once) in tables {
            for (path, conns) in table.by_path() {
                for conn in conns {
                    let session = self.peers.get(&conn).and_then(|peer| peer.session);
                    let kinds = [
                        (WatchMode::Standard, once),
                        (WatchMode::Persistent, WatchKind::Persistent),
                        (WatchMode::Recursive, WatchKind::Recursive),
                    ];
                    let set = kinds.into_iter().filter(|(mode, _)| table.contains(path, conn, Some(*mode)));
                    watches.extend(set.map(|(_, kind)| WatchInfo {
                        path: path.clone(),
                        kind,
                        conn,
                        session,
                    }));
                }
            }
        }
        let key = |watch: &WatchInfo| (watch.path.clone(), watch.kind, watch.conn);
        watches.sort_unstable_by_key(key);
        // One that stays is in both tables.
        watches.dedup();
        watches
    }

    /// Watches on nodes' data and being, by path: every watched path, sorted, with the connections that watch
    /// it.
    #[must_use]
    pub fn data_watches(&self) -> Vec<(ByteString, Vec<ConnId>)> {
        sorted(&self.watches.data)
    }

    /// Watches on nodes' children, likewise.
    #[must_use]
    pub fn child_watches(&self) -> Vec<(ByteString, Vec<ConnId>)> {
        sorted(&self.watches.child)
    }

    /// Pairs of watched path and connection, those of [`data_watches`](Self::data_watches), in no order: sorting so many
    /// takes longer than taking them.
    pub(crate) fn data_watch_pairs(&self) -> Vec<(ByteString, ConnId)> {
        let mut pairs = Vec::with_capacity(self.watches.data_count());
        for (path, conns) in self.watches.data.by_path() {
            pairs.extend(conns.map(|conn| (path.clone(), conn)));
        }
        pairs
    }

    /// Returns how many connections watch nodes' data, how many paths, and how many pairs of them there are.
    pub(crate) fn data_watch_extent(&self) -> (usize, usize, usize) {
        let (conns, paths) = self.watches.data.extent();
        (conns, paths, self.watches.data_count())
    }
}

fn sorted(table: &WatchTable) -> Vec<(ByteString, Vec<ConnId>)> {
    let mut paths: Vec<_> = table.by_path().map(|(path, conns)| (path.clone(), conns.collect())).collect();
    paths.sort_unstable();
    paths
}
