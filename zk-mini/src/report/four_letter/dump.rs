//! `dump`: sessions, with their ephemeral nodes, and connections, by the time of their expiry.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::net::SocketAddr;

use zk_wire::{Millis, SessionId, UnixMillis};

use super::clients::Remote;
use super::date::JavaDate;
use crate::core::{ConnId, Now, SessionInfo};
use crate::shell::connections::SESSIONLESS;
use crate::shell::state::ServerState;

/// Content of the answer.
pub(super) struct Dump {
    now: Now,
    sessions: Vec<SessionInfo>,
    connections: Vec<(ConnId, Option<SocketAddr>, Millis)>,
}

impl Dump {
    pub(super) fn gather(state: &ServerState, now: Now) -> Self {
        let connections = state.connections.iter();
        Self {
            now,
            sessions: state.core.sessions(),
            connections: connections.map(|(id, entry)| (id, entry.remote, entry.expected)).collect(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.connections.len()
            + self.sessions.iter().map(|session| 1 + session.ephemerals.len()).sum::<usize>()
    }

    pub(super) fn answer(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        let Self { now, sessions, connections } = self;
        writeln!(out, "SessionTracker dump:")?;
        let by_expiry = sessions.iter().map(|session| (session.expires, session.id.to_string()));
        write!(out, "Session ")?;
        write_sets(out, *now, by_expiry)?;
        writeln!(out, "ephemeral nodes dump:")?;
        write_ephemerals(out, sessions)?;
        writeln!(out, "Connections dump:")?;
        let owners: BTreeMap<_, _> =
            sessions.iter().filter_map(|session| Some((session.conn?, session))).collect();
        let by_expiry = connections.iter().map(|(id, remote, expected)| {
            let owner = owners.get(id);
            // A connection outlives its session by a moment: it is looked after less often.
            let expires =
                owner.map_or(*expected, |session| Millis(session.expires.0.next_multiple_of(SESSIONLESS.0)));
            let session = owner.map_or(SessionId::NONE, |session| session.id);
            (expires, format!("ip: {} sessionId: {session}", Remote(*remote)))
        });
        write!(out, "Connections ")?;
        write_sets(out, *now, by_expiry)
    }
}

/// Writes things by the time of their expiry.
fn write_sets(out: &mut String, now: Now, things: impl Iterator<Item = (Millis, String)>) -> fmt::Result {
    let mut sets: BTreeMap<Millis, Vec<String>> = BTreeMap::new();
    for (expires, thing) in things {
        sets.entry(expires).or_default().push(thing);
    }
    let count: usize = sets.values().map(Vec::len).sum();
    writeln!(out, "Sets ({})/({count}):", sets.len())?;
    for (expires, things) in sets {
        let left = i64::try_from(expires.0.saturating_sub(now.mono.0)).unwrap_or(i64::MAX);
        let date = JavaDate(UnixMillis(now.wall.0.saturating_add(left)));
        writeln!(out, "{} expire at {date}:", things.len())?;
        for thing in things {
            writeln!(out, "\t{thing}")?;
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
