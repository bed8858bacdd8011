//! Inspection of the state without a client.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use zk_wire::{Acl, ByteString, Millis, SessionId, Stat, Zxid};

use crate::core::figures::{ReadAndWritten, WatchersTold};
use crate::core::peers::PeerState;
use crate::core::session::Sessions;
use crate::core::tree::name_set::NameSet;
use crate::core::watch::{WatchMode, WatchTable, Watches};
use crate::core::{ConnId, Core, Part, Peer};

/// Node at the time of the call.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeInfo {
    /// Data of the node. Null and empty are kept apart.
    pub data: Option<Bytes>,
    /// ACL of the node.
    pub acl: Arc<[Acl]>,
    /// `Stat` of the node.
    pub stat: Stat,
}

/// Session at the time of the call.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionInfo {
    /// Id of the session.
    pub id: SessionId,
    /// Negotiated timeout.
    pub timeout: Millis,
    /// Connection of the session, if there is one.
    pub conn: Option<ConnId>,
    /// Time of the last sign of life.
    pub heard: Millis,
    /// Time at which the session expires without a sign of life.
    pub expires: Millis,
    /// Ephemeral nodes of the session, sorted.
    pub ephemerals: Vec<ByteString>,
}

/// Connection at the time of the call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PeerInfo {
    /// Id of the connection.
    pub conn: ConnId,
    /// Peer at its other end.
    pub peer: Peer,
    /// Session of the connection; `None` before the handshake.
    pub session: Option<SessionId>,
}

/// Kind of watch.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum WatchKind {
    /// One event: creation, deletion or change of data (`getData`, `exists`).
    Data,
    /// One event: change of the list of children (`getChildren`).
    Children,
    /// All events of a node and its list of children, until the watch is removed (`addWatch`).
    Persistent,
    /// All events of a node and the nodes below it, until the watch is removed (`addWatch`, recursive).
    Recursive,
}

/// Watch at the time of the call.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WatchInfo {
    /// Watched path; the node need not exist.
    pub path: ByteString,
    /// Kind of watch.
    pub kind: WatchKind,
    /// Connection that gets the events. The watch ends with it.
    pub conn: ConnId,
    /// Session of the connection.
    pub session: Option<SessionId>,
}

impl WatchInfo {
    /// Returns watches sorted by path, kind and connection, each once.
    pub(crate) fn sorted(mut watches: Vec<Self>) -> Vec<Self> {
        // `dedup` needs equal watches side by side.
        watches.sort_unstable_by(|a, b| (&a.path, a.kind, a.conn).cmp(&(&b.path, b.kind, b.conn)));
        // A persistent watch is in two tables.
        watches.dedup();
        watches
    }
}

impl Core {
    /// Returns the numbers of watchers per event.
    pub(crate) fn watchers_told(&self) -> WatchersTold {
        self.watches.fired
    }

    /// Returns each namespace (a child of the root) with its figures of reads and writes, sorted by name.
    pub(crate) fn namespaces(&self) -> Vec<(&str, ReadAndWritten)> {
        self.namespaces.by_name()
    }

    /// Resets the figures of watchers and namespaces.
    pub(crate) fn reset_figures(&mut self) {
        self.watches.fired = WatchersTold::default();
        self.namespaces.reset();
    }

    /// Returns a node.
    #[must_use]
    pub fn node(&self, path: &str) -> Option<NodeInfo> {
        self.tree.get(path).map(|node| NodeInfo {
            data: node.data.clone(),
            acl: Arc::clone(node.acl.entries()),
            stat: node.stat(),
        })
    }

    /// Returns the names of a node's children, sorted.
    #[must_use]
    pub fn children(&self, path: &str) -> Option<Vec<ByteString>> {
        self.tree.get(path).map(|node| node.children().iter().map(ByteString::from).collect())
    }

    /// Returns the number of nodes below a node, from a stored count.
    #[must_use]
    pub fn descendant_count(&self, path: &str) -> Option<usize> {
        self.tree.get(path)?;
        usize::try_from(self.tree.weight_below(path).nodes).ok()
    }

    /// Returns all sessions, sorted by id.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionInfo> {
        self.sessions.ids().into_iter().filter_map(|id| self.session(id)).collect()
    }

    /// Returns a session, be it one that a server alone knows; `None` if it is not alive.
    #[must_use]
    pub fn session(&self, id: SessionId) -> Option<SessionInfo> {
        let session = self.any_session(id)?;
        Some(SessionInfo {
            id,
            timeout: session.current_timeout,
            conn: self.conn_of(id),
            heard: session.heard,
            expires: session.expires,
            ephemerals: self.tree.ephemerals(id),
        })
    }

    /// Returns the ephemeral nodes of a session.
    pub(crate) fn ephemeral_set(&self, id: SessionId) -> NameSet {
        self.tree.ephemeral_set(id)
    }

    /// Returns the ids of all sessions, with those that a server alone knows, sorted.
    pub(crate) fn session_ids(&self) -> Vec<SessionId> {
        let mut ids = self.sessions.ids();
        ids.extend(self.all_local().flat_map(Sessions::ids));
        ids.sort_unstable();
        ids
    }

    /// Returns `true` if a session is alive.
    pub(crate) fn is_alive(&self, id: SessionId) -> bool {
        self.sessions.get(id).is_some()
    }

    /// Returns `true` if a connection is open.
    pub(crate) fn knows(&self, conn: ConnId) -> bool {
        self.peers.contains(conn)
    }

    /// Returns the connection of a session.
    pub(crate) fn conn_of(&self, id: SessionId) -> Option<ConnId> {
        match self.sessions.get(id) {
            Some(session) => session.conn,
            // Of a session that a server alone knows, only its connection says which it is.
            None if self.is_alive_anywhere(id) => self.peers.of_session(id).next_back(),
            None => None,
        }
    }

    /// Returns the session that owns an ephemeral node.
    pub(crate) fn owner_of(&self, path: &str) -> Option<SessionId> {
        let owner = self.tree.get(path)?.stat().ephemeral_owner;
        self.is_alive(owner).then_some(owner)
    }

    /// Returns the number of watches of a connection, as [`watches`](Self::watches) lists them.
    pub(crate) fn watch_count_of(&self, conn: ConnId) -> usize {
        self.all_watches().map(|watches| watches.count_of(conn)).sum()
    }

    /// Returns `true` if a session is frozen, with or without a connection.
    pub(crate) fn is_session_frozen(&self, id: SessionId) -> bool {
        self.is_part_frozen(Part::Session(id)) || self.conn_of(id).is_some_and(|conn| self.is_frozen(conn))
    }

    /// Returns `true` if a connection has a session.
    pub(crate) fn has_session(&self, conn: ConnId) -> bool {
        self.peers.session_of(conn).is_some()
    }

    /// Returns the connections with a session, the session and its timeout, in no order.
    pub(crate) fn session_conns(&self) -> impl Iterator<Item = (ConnId, SessionId, Millis)> {
        self.peers.iter().filter_map(|(conn, peer)| {
            let session = self.sessions.get(peer.session()?)?;
            Some((conn, peer.session()?, session.current_timeout))
        })
    }

    /// Returns all connections, sorted by id.
    #[must_use]
    pub fn connections(&self) -> Vec<PeerInfo> {
        let info = |(conn, peer): (ConnId, &PeerState)| PeerInfo {
            conn,
            peer: peer.address,
            session: peer.session(),
        };
        let mut connections: Vec<_> = self.peers.iter().map(info).collect();
        connections.sort_unstable_by_key(|connection| connection.conn);
        connections
    }

    /// Returns the number of the last transaction.
    #[must_use]
    pub fn last_zxid(&self) -> Zxid {
        self.last_zxid
    }

    /// Returns the chance that the throttle refuses a new connection at random, at the server whose state is in place; that of the
    /// leader stands for a whole ensemble.
    #[must_use]
    pub fn drop_chance(&self) -> f64 {
        self.present_throttle().drop_chance()
    }

    /// Returns the number of sessions.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// Returns the number of nodes, with the system's nodes.
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.tree.len()
    }

    /// Returns the number of ephemeral nodes.
    #[must_use]
    pub fn ephemeral_count(&self) -> usize {
        self.tree.ephemeral_count()
    }

    /// Returns the number of watches: pairs of connection and path, in the tables of data and of children.
    #[must_use]
    pub fn watch_count(&self) -> usize {
        self.all_watches().map(Watches::count).sum()
    }

    /// Returns the number of bytes of all paths and data.
    #[must_use]
    pub fn data_size(&self) -> usize {
        self.tree.data_size()
    }

    /// Returns all watches of every kind, sorted by path, kind and connection.
    #[must_use]
    pub fn watches(&self) -> Vec<WatchInfo> {
        WatchInfo::sorted(self.unsorted_watches())
    }

    /// Returns the watches of [`watches`](Self::watches) in no order, persistent ones twice. Sorting them takes far longer than
    /// collecting them.
    pub(crate) fn unsorted_watches(&self) -> Vec<WatchInfo> {
        let mut watches = Vec::new();
        let tables = self
            .all_watches()
            .flat_map(|all| [(&all.data, WatchKind::Data), (&all.child, WatchKind::Children)]);
        for (table, once) in tables {
            for (path, conns) in table.by_path() {
                for conn in conns {
                    let session = self.peers.session_of(conn);
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
        watches
    }

    /// Returns every path with data watches, sorted, with the connections that watch it.
    #[must_use]
    pub fn data_watches(&self) -> Vec<(ByteString, Vec<ConnId>)> {
        sorted(self.all_watches().map(|watches| &watches.data))
    }

    /// Returns every path with child watches, sorted, with the connections that watch it.
    #[must_use]
    pub fn child_watches(&self) -> Vec<(ByteString, Vec<ConnId>)> {
        sorted(self.all_watches().map(|watches| &watches.child))
    }

    /// Returns the pairs of [`data_watches`](Self::data_watches) in no order. Sorting them would take longer than
    /// collecting them.
    pub(crate) fn data_watch_pairs(&self) -> Vec<(ByteString, ConnId)> {
        let count = self.all_watches().map(Watches::data_count).sum();
        let mut pairs = Vec::with_capacity(count);
        for (path, conns) in self.all_watches().flat_map(|watches| watches.data.by_path()) {
            pairs.extend(conns.map(|conn| (path.clone(), conn)));
        }
        pairs
    }

    /// Returns the numbers of connections with data watches, of paths with data watches, and of their pairs.
    pub(crate) fn data_watch_extent(&self) -> (usize, usize, usize) {
        let (conns, paths) = self.watches.data.extent();
        (conns, paths, self.watches.data_count())
    }
}

fn sorted<'a>(tables: impl Iterator<Item = &'a WatchTable>) -> Vec<(ByteString, Vec<ConnId>)> {
    let mut paths = BTreeMap::<_, Vec<_>>::new();
    for (path, conns) in tables.flat_map(WatchTable::by_path) {
        paths.entry(path.clone()).or_default().extend(conns);
    }
    paths.into_iter().collect()
}
