//! `dump`: sessions with their ephemeral nodes, and connections, by the time of their expiry.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use zk_wire::{Millis, SessionId, UnixMillis};

use super::clients::JavaAddr;
use super::date::JavaDate;
use crate::core::{Now, SessionInfo};
use crate::report::figures::ExpiryFigures;

/// Returns the approximate number of lines of an answer.
pub(crate) fn lines(figures: &ExpiryFigures) -> usize {
    figures.connections.len()
        + figures.sessions.iter().map(|session| 1 + session.ephemerals.len()).sum::<usize>()
}

pub(crate) fn answer(figures: &ExpiryFigures) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut out, figures);
    out
}

fn write(out: &mut String, figures: &ExpiryFigures) -> fmt::Result {
    let ExpiryFigures { now, connection_check, sessions, connections } = figures;
    writeln!(out, "SessionTracker dump:")?;
    let by_expiry = sessions.iter().map(|session| (session.expires, session.id.to_string()));
    write!(out, "Session ")?;
    write_sets(out, *now, by_expiry)?;
    writeln!(out, "ephemeral nodes dump:")?;
    write_ephemerals(out, sessions)?;
    writeln!(out, "Connections dump:")?;
    let owners: BTreeMap<_, _> =
        sessions.iter().filter_map(|session| Some((session.conn?, session))).collect();
    let by_expiry = connections.iter().map(|connection| {
        let owner = owners.get(&connection.conn);
        // A connection outlives its session by a moment, as it is checked less often.
        let expires = owner.map_or(connection.session_due, |session| {
            Millis(session.expires.0.checked_next_multiple_of(connection_check.0).unwrap_or(u64::MAX))
        });
        let session = owner.map_or(SessionId::NONE, |session| session.id);
        (expires, format!("ip: {} sessionId: {session}", JavaAddr(connection.remote)))
    });
    write!(out, "Connections ")?;
    write_sets(out, *now, by_expiry)
}

/// Writes items by the time of their expiry.
fn write_sets(out: &mut String, now: Now, items: impl Iterator<Item = (Millis, String)>) -> fmt::Result {
    let mut sets: BTreeMap<Millis, Vec<String>> = BTreeMap::new();
    for (expires, item) in items {
        sets.entry(expires).or_default().push(item);
    }
    let count: usize = sets.values().map(Vec::len).sum();
    writeln!(out, "Sets ({})/({count}):", sets.len())?;
    for (expires, items) in sets {
        let left = i64::try_from(expires.0.saturating_sub(now.mono.0)).unwrap_or(i64::MAX);
        let date = JavaDate(UnixMillis(now.wall.0.saturating_add(left)));
        writeln!(out, "{} expire at {date}:", items.len())?;
        for item in items {
            writeln!(out, "\t{item}")?;
        }
    }
    Ok(())
}

fn write_ephemerals(out: &mut String, sessions: &[SessionInfo]) -> fmt::Result {
    let owners: Vec<_> = sessions.iter().filter(|session| !session.ephemerals.is_empty()).collect();
    writeln!(out, "Sessions with Ephemerals ({}):", owners.len())?;
    for session in owners {
        writeln!(out, "{}:", session.id)?;
        for path in &session.ephemerals {
            writeln!(out, "\t{path}")?;
        }
    }
    Ok(())
}
