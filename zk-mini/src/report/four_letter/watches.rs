//! `wchs`, `wchp` and `wchc`: watches on the data of nodes.

use std::fmt::Write;

use zk_wire::{ByteString, SessionId};

use crate::report::figures::{WatchCounts, WatchFigures};

/// Writes the numbers of watches.
pub(crate) fn summary(counts: WatchCounts) -> String {
    let WatchCounts { connections, paths, watches } = counts;
    format!("{connections} connections watching {paths} paths\nTotal watches:{watches}\n")
}

/// Writes each watched path with the sessions that watch it.
pub(crate) fn by_path(figures: WatchFigures) -> String {
    let WatchFigures { mut pairs, sessions } = figures;
    pairs.sort_unstable();
    let mut out = String::new();
    for watched in pairs.chunk_by(|(path, _), (next, _)| path == next) {
        let _ = watched.first().map(|(path, _)| writeln!(out, "{path}"));
        for session in watched.iter().filter_map(|(_, conn)| sessions.get(conn)) {
            let _ = writeln!(out, "\t{session}");
        }
    }
    out.push('\n');
    out
}

/// Writes each session with the paths that it watches.
pub(crate) fn by_session(figures: WatchFigures) -> String {
    let WatchFigures { pairs, sessions } = figures;
    let with_session = |(path, conn)| Some((*sessions.get(&conn)?, path));
    let mut pairs: Vec<(SessionId, ByteString)> = pairs.into_iter().filter_map(with_session).collect();
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
