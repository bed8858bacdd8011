//! Peers of a core: its record of each connection, found by the connection or by the session.

mod peer;

use std::collections::BTreeSet;

use foldhash::HashMap;
use zk_wire::SessionId;

use crate::core::message::ConnId;
pub(crate) use peer::PeerState;

/// Open connections.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    by_conn: HashMap<ConnId, PeerState>,
    /// Sessions with their connections: with several servers, and around a return, a session has more than one.
    by_session: BTreeSet<(SessionId, ConnId)>,
}

impl Peers {
    #[inline]
    pub(crate) fn get(&self, conn: ConnId) -> Option<&PeerState> {
        self.by_conn.get(&conn)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, conn: ConnId) -> Option<&mut PeerState> {
        self.by_conn.get_mut(&conn)
    }

    #[inline]
    pub(crate) fn contains(&self, conn: ConnId) -> bool {
        self.by_conn.contains_key(&conn)
    }

    /// Adds a connection, with the session that it may have.
    pub(crate) fn insert(&mut self, conn: ConnId, peer: PeerState) {
        self.by_session.extend(peer.session().map(|session| (session, conn)));
        self.by_conn.insert(conn, peer);
    }

    pub(crate) fn remove(&mut self, conn: ConnId) -> Option<PeerState> {
        let peer = self.by_conn.remove(&conn)?;
        if let Some(session) = peer.session() {
            self.by_session.remove(&(session, conn));
        }
        Some(peer)
    }

    /// Gives a connection a session, or takes it away.
    pub(crate) fn set_session(&mut self, conn: ConnId, session: Option<SessionId>) {
        let Some(peer) = self.by_conn.get_mut(&conn) else { return };
        if let Some(former) = peer.replace_session(session) {
            self.by_session.remove(&(former, conn));
        }
        self.by_session.extend(session.map(|session| (session, conn)));
    }

    /// Returns the session of a connection, if it is open and has one.
    pub(crate) fn session_of(&self, conn: ConnId) -> Option<SessionId> {
        self.get(conn)?.session()
    }

    /// Returns the connections of a session, sorted.
    pub(crate) fn of_session(&self, session: SessionId) -> impl DoubleEndedIterator<Item = ConnId> {
        let all = (session, ConnId(u64::MIN))..=(session, ConnId(u64::MAX));
        self.by_session.range(all).map(|(_, conn)| *conn)
    }

    /// Returns all connections, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ConnId, &PeerState)> {
        self.by_conn.iter().map(|(conn, peer)| (*conn, peer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::message::Peer;

    #[test]
    fn connections_are_found_by_their_session() {
        let mut peers = Peers::default();
        let of = |peers: &Peers, session| {
            peers.of_session(SessionId(session)).map(|conn| conn.0).collect::<Vec<_>>()
        };
        for conn in (0..4).map(ConnId) {
            peers.insert(conn, PeerState::new(Peer::LOCAL, None));
        }
        peers.set_session(ConnId(3), Some(SessionId(7)));
        peers.set_session(ConnId(1), Some(SessionId(7)));
        peers.set_session(ConnId(2), Some(SessionId(-1)));
        peers.set_session(ConnId(9), Some(SessionId(7)));
        assert_eq!((of(&peers, 7), of(&peers, -1), of(&peers, 0)), (vec![1, 3], vec![2], vec![]));

        peers.set_session(ConnId(1), Some(SessionId(8)));
        peers.set_session(ConnId(2), None);
        let gone = peers.remove(ConnId(3)).unwrap();
        assert_eq!((of(&peers, 7), of(&peers, -1), of(&peers, 8)), (vec![], vec![], vec![1]));
        peers.insert(ConnId(3), gone);
        assert_eq!(of(&peers, 7), [3]);
        assert_eq!(peers.by_session.len(), 2);
    }
}
