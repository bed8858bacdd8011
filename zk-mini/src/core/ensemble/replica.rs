//! Replicas: what a server knows of the history, and its watches.

use std::mem::swap;

use zk_wire::{SessionId, Zxid};

use crate::core::apply::{Stamp, apply};
use crate::core::events::Observers;
use crate::core::figures::Namespaces;
use crate::core::message::{ConnId, Now};
use crate::core::session::Sessions;
use crate::core::tree::Tree;
use crate::core::txn::{Change, Txn};
use crate::core::watch::Watches;
use crate::core::{Core, ensemble};

/// State of one server: the part of a core that differs between servers. It takes the place of the leader's while the server
/// handles something.
#[derive(Debug)]
pub(super) struct Replica {
    tree: Tree,
    pub(super) watches: Watches,
    pub(super) last_zxid: Zxid,
    namespaces: Namespaces,
}

impl Replica {
    /// Copies the state of the leader.
    pub(super) fn of(core: &Core) -> Self {
        let mut copy = Core::restore(core.config.clone(), Now::default(), core.image());
        copy.complete();
        Self {
            tree: copy.tree,
            watches: copy.watches,
            last_zxid: core.last_zxid,
            namespaces: Namespaces::default(),
        }
    }
}

impl Core {
    /// Does work with the state of a server instead of the leader's.
    pub(crate) fn as_server<T>(&mut self, server: usize, work: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.place(Some(server));
        let result = work(self);
        self.place(before);
        result
    }

    /// Puts the state of a server, or of the leader, into its place. Returns the server that was there.
    pub(crate) fn place(&mut self, server: Option<usize>) -> Option<usize> {
        let before = self.ensemble.as_ref().and_then(|ensemble| ensemble.current);
        if before != server {
            self.exchange_with(before);
            self.exchange_with(server);
        }
        before
    }

    /// Exchanges the state in place with the replica of a server.
    fn exchange_with(&mut self, server: Option<usize>) {
        let Some(ensemble) = &mut self.ensemble else { return };
        let Some(Some(ensemble::Server { replica, .. })) =
            server.map(|server| ensemble.servers.get_mut(server))
        else {
            return;
        };
        swap(&mut self.tree, &mut replica.tree);
        swap(&mut self.watches, &mut replica.watches);
        swap(&mut self.last_zxid, &mut replica.last_zxid);
        swap(&mut self.namespaces, &mut replica.namespaces);
        ensemble.current = if ensemble.current == server { None } else { server };
    }

    /// Applies a transaction at a server, and tells its watchers.
    pub(super) fn apply_at(&mut self, server: usize, now: Now, txn: Txn) {
        let Txn { zxid, time, session, change, .. } = txn;
        let ends_session = matches!(change, Change::CloseSession { .. });
        self.as_server(server, |core| {
            // Sessions are the leader's.
            let mut sessions = Sessions::new(core.config.tick, core.config.seed);
            core.results.clear();
            core.events.clear();
            let mut observers =
                Observers::new(&mut core.watches, &mut core.events, &mut core.namespaces, None);
            let (results, changes) = (&mut core.results, &mut core.changes);
            let stamp = Stamp { zxid, time, session, applied: now.mono };
            apply(&mut core.tree, &mut sessions, stamp, change, &mut observers, results, changes);
            core.last_zxid = zxid;
            core.tell(now, zxid);
        });
        if ends_session {
            for conn in self.conns_at(server, session) {
                self.close_behind(conn);
            }
        }
    }

    /// Returns the connections of a session at a server, sorted.
    pub(super) fn conns_at(&self, server: usize, session: SessionId) -> Vec<ConnId> {
        self.peers.of_session(session).filter(|conn| self.server_of(*conn) == Some(server)).collect()
    }

    /// Removes the watches of a connection that has ended.
    pub(crate) fn end_watches(&mut self, conn: ConnId, listener: Option<usize>) {
        if let Some(ensemble) = &mut self.ensemble {
            ensemble.waiting.remove(&conn);
            let server = listener.unwrap_or_default();
            if ensemble.current != Some(server)
                && let Some(server) = ensemble.servers.get_mut(server)
            {
                return server.replica.watches.remove_conn(conn);
            }
        }
        self.watches.remove_conn(conn);
    }
}
