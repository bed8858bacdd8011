//! Copies figures out of the state for reports. All figures of one call are from the same moment.

use foldhash::HashMap;

use crate::core::Now;
use crate::report::figures::{
    Configuration, ConnectionFigures, ExpiryFigures, FaultFigures, Figures, HistoryFigures, NamespaceFigures,
    ServerFigures, WatchCounts, WatchFigures,
};
use crate::shell::limits::SESSIONLESS;
use crate::shell::state::ServerState;

impl ServerState {
    /// Returns the figures that take no list, except that of the namespaces.
    pub(crate) fn figures(&self, configuration: &Configuration, now: Now) -> Figures {
        let (rules, fired) = self.core.fault_totals();
        let history = &self.core.history;
        Figures {
            configuration: configuration.clone(),
            server: self.server_figures(now),
            namespaces: self.namespace_figures(),
            data_watches: self.watch_counts(),
            trace_mask: self.trace_mask,
            history: HistoryFigures {
                is_on: history.is_on(),
                recorded: history.next_seq().saturating_sub(1),
            },
            faults: FaultFigures { rules, fired },
        }
    }

    /// Returns the figures of the whole server.
    pub(crate) fn server_figures(&self, now: Now) -> ServerFigures {
        let core = &self.core;
        ServerFigures {
            mode: core.mode(),
            uptime: now.mono,
            last_zxid: core.last_zxid(),
            nodes: core.node_count(),
            ephemeral_nodes: core.ephemeral_count(),
            data_bytes: core.data_size(),
            sessions: core.session_count(),
            local_sessions: core.local_session_count(),
            drop_chance: core.drop_chance(),
            connections: self.connections.iter().filter(|(conn, _)| core.shows(*conn)).count(),
            watches: core.watch_count(),
            stats: self.connections.stats(core.placed()),
            watchers_told: core.watchers_told(),
            ensemble: core.ensemble_figures(now.mono),
        }
    }

    /// Returns the sizes of reads and writes below each child of the root, by name.
    pub(crate) fn namespace_figures(&self) -> Vec<NamespaceFigures> {
        let namespaces = self.core.namespaces().into_iter();
        namespaces
            .map(|(name, [read, written])| NamespaceFigures { name: name.into(), read, written })
            .collect()
    }

    /// Returns the figures of each connection, in the order in which they were accepted.
    pub(crate) fn connection_figures(&self) -> Vec<ConnectionFigures> {
        let sessions: HashMap<_, _> =
            self.core.session_conns().map(|(conn, session, timeout)| (conn, (session, timeout))).collect();
        let connections = self.connections.iter();
        connections
            .filter(|(conn, _)| self.core.shows(*conn))
            .map(|(conn, entry)| ConnectionFigures {
                conn,
                remote: entry.remote,
                established: entry.established,
                session_due: entry.session_due,
                session: sessions.get(&conn).copied(),
                frozen: self.core.is_frozen(conn),
                stats: entry.stats.clone(),
            })
            .collect()
    }

    /// Returns sessions and connections with the times of their expiry.
    pub(crate) fn expiry_figures(&self, now: Now) -> ExpiryFigures {
        ExpiryFigures {
            now,
            connection_check: SESSIONLESS,
            sessions: self.core.sessions(),
            connections: self.connection_figures(),
        }
    }

    /// Returns the watches on the data of nodes.
    pub(crate) fn watch_figures(&self) -> WatchFigures {
        let sessions = self.core.session_conns().map(|(conn, session, _)| (conn, session)).collect();
        WatchFigures { pairs: self.core.data_watch_pairs(), sessions }
    }

    /// Sets the counters of connections back to zero.
    pub(crate) fn reset_connection_figures(&mut self) {
        self.connections.reset_each(|conn| self.core.shows(conn));
    }

    /// Sets the counters of the server back to zero.
    pub(crate) fn reset_figures(&mut self) {
        self.connections.reset_stats(self.core.placed());
        self.core.reset_figures();
    }

    /// Returns the numbers of watches on the data of nodes.
    pub(crate) fn watch_counts(&self) -> WatchCounts {
        let (connections, paths, watches) = self.core.data_watch_extent();
        WatchCounts { connections, paths, watches }
    }
}
