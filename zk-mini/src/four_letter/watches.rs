//! `wchs`, `wchp` and `wchc`: watches on nodes' data and being. As in ZooKeeper those on children are not told.

use std::collections::BTreeMap;
use std::fmt::Write;

use zk_wire::SessionId;

use crate::core::{ConnId, Core};

/// How many watches there are.
pub(super) fn summary(core: &Core) -> String {
    let watches = core.data_watches();
    let mut conns: Vec<_> = watches.iter().flat_map(|(_, conns)| conns).collect();
    let total = conns.len();
    conns.sort_unstable();
    conns.dedup();
    format!("{} connections watching {} paths\nTotal watches:{total}\n", conns.len(), watches.len())
}

/// Each watched path, with the sessions that watch it.
pub(super) fn by_path(core: &Core) -> String {
    let sessions = sessions(core);
    let mut out = String::new();
    for (path, conns) in core.data_watches() {
        let _ = writeln!(out, "{path}");
        for session in conns.iter().filter_map(|conn| sessions.get(conn)) {
            let _ = writeln!(out, "\t{session}");
        }
    }
    out.push('\n');
    out
}

/// Each session that watches, with the paths.
pub(super) fn by_session(core: &Core) -> String {
    let sessions = sessions(core);
    let mut paths: BTreeMap<SessionId, Vec<_>> = BTreeMap::new();
    for (path, conns) in core.data_watches() {
        for session in conns.iter().filter_map(|conn| sessions.get(conn)) {
            paths.entry(*session).or_default().push(path.clone());
        }
    }
    let mut out = String::new();
    for (session, paths) in paths {
        let _ = writeln!(out, "{session}");
        for path in paths {
            let _ = writeln!(out, "\t{path}");
        }
    }
    out.push('\n');
    out
}

fn sessions(core: &Core) -> BTreeMap<ConnId, SessionId> {
    core.connections().iter().filter_map(|info| Some((info.conn, info.session?))).collect()
}
