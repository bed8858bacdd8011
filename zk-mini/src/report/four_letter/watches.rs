//! `wchs`, `wchp` and `wchc`: watches on nodes' data and being. As in ZooKeeper those on children are not told.

use std::fmt::Write;

use foldhash::HashMap;
use zk_wire::{ByteString, SessionId};

use crate::core::{ConnId, Core};

/// How many watches there are.
pub(super) fn summary(core: &Core) -> String {
    let (conns, paths, total) = core.data_watch_extent();
    format!("{conns} connections watching {paths} paths\nTotal watches:{total}\n")
}

/// The watches as they are now.
pub(super) struct Watches {
    pairs: Vec<(ByteString, ConnId)>,
    sessions: HashMap<ConnId, SessionId>,
}

impl Watches {
    pub(super) fn gather(core: &Core) -> Self {
        let sessions = core.session_conns().map(|(conn, session, _)| (conn, session)).collect();
        Self { pairs: core.data_watch_pairs(), sessions }
    }

    pub(super) fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Each watched path, with the sessions that watch it.
    pub(super) fn by_path(mut self) -> String {
        self.pairs.sort_unstable();
        let mut out = String::new();
        for watched in self.pairs.chunk_by(|(path, _), (next, _)| path == next) {
            let _ = watched.first().map(|(path, _)| writeln!(out, "{path}"));
            for session in watched.iter().filter_map(|(_, conn)| self.sessions.get(conn)) {
                let _ = writeln!(out, "\t{session}");
            }
        }
        out.push('\n');
        out
    }

    /// Each session that watches, with the paths.
    pub(super) fn by_session(self) -> String {
        let session = |(path, conn)| Some((*self.sessions.get(&conn)?, path));
        let mut pairs: Vec<(SessionId, ByteString)> = self.pairs.into_iter().filter_map(session).collect();
        pairs.sort_unstable();
        let mut out = String::new();
        for watching in pairs.chunk_by(|(session, _), (next, _)| session == next) {
            let _ = watching.first().map(|(session, _)| writeln!(out, "{session}"));
            for (_, path) in watching {
                let _ = writeln!(out, "\t{path}");
            }
        }
        out.push('\n');
        out
    }
}
