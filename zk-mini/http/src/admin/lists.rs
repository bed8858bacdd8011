//! Commands that list connections, sessions and watches.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use axum::response::Response;
use serde::{Serialize, Serializer};
use zk_mini::Handle;
use zk_mini::figures::{ConnectionFigures, Mode, WatchFigures};
use zk_wire::{ByteString, OpCode, SessionId};

use super::reply;
use super::server::{self, Stats};

/// Path of a node.
#[derive(Eq, Ord, PartialEq, PartialOrd)]
struct Path(ByteString);

impl Serialize for Path {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// A connection in brief.
#[derive(Serialize)]
struct Brief {
    remote_socket_address: String,
    /// 1: requests are read.
    interest_ops: u32,
    outstanding_requests: u32,
    packets_received: u64,
    packets_sent: u64,
}

#[derive(Serialize)]
struct Whole {
    #[serde(flatten)]
    brief: Brief,
    session_id: i64,
    last_operation: &'static str,
    established: i64,
    session_timeout: u64,
    last_cxid: i64,
    last_zxid: i64,
    last_response_time: u64,
    last_latency: u64,
    min_latency: u64,
    avg_latency: u64,
    max_latency: u64,
}

#[derive(Serialize)]
struct Connections<T> {
    connections: Vec<T>,
    /// There is no secure port.
    secure_connections: [u8; 0],
}

impl<T> Connections<T> {
    fn of(server: &Handle, shown: impl Fn(&ConnectionFigures) -> T) -> Self {
        let connections = server.connection_figures();
        Self { connections: connections.iter().map(shown).collect(), secure_connections: [] }
    }
}

pub(super) fn connections(command: &str, server: &Handle) -> Response {
    reply::fields(command, Connections::of(server, whole))
}

/// Answers with the figures of the server, and its connections in brief.
pub(super) fn stats(command: &str, server: &Handle) -> Response {
    #[derive(Serialize)]
    struct WithConnections {
        #[serde(flatten)]
        stats: Stats,
        #[serde(flatten)]
        connections: Connections<Brief>,
    }
    let fields =
        WithConnections { stats: server::stats(server), connections: Connections::of(server, brief) };
    reply::fields(command, fields)
}

fn brief(connection: &ConnectionFigures) -> Brief {
    Brief {
        remote_socket_address: address(connection.remote),
        interest_ops: 1,
        outstanding_requests: 0,
        packets_received: connection.stats.received,
        packets_sent: connection.stats.sent,
    }
}

fn whole(connection: &ConnectionFigures) -> Whole {
    let stats = &connection.stats;
    let (session, timeout) = connection.session.map_or((0, 0), |(id, timeout)| (id.0, timeout.0));
    Whole {
        brief: brief(connection),
        session_id: session,
        last_operation: stats.op.map_or("NA", OpCode::short_name),
        established: connection.established.0,
        session_timeout: timeout,
        last_cxid: stats.xid.map_or(-1, i64::from),
        last_zxid: stats.zxid.map_or(-1, |zxid| zxid.0),
        last_response_time: stats.answered.0,
        last_latency: stats.last_latency,
        min_latency: stats.latency.min,
        avg_latency: stats.latency.sum.checked_div(stats.latency.count).unwrap_or(0),
        max_latency: stats.latency.max,
    }
}

/// Returns an address as the AdminServer writes it: every group of IPv6, none with leading zeros.
fn address(remote: Option<SocketAddr>) -> String {
    match remote {
        Some(SocketAddr::V6(addr)) => {
            let groups = addr.ip().segments().map(|group| format!("{group:x}"));
            format!("[{}]:{}", groups.join(":"), addr.port())
        }
        Some(addr) => addr.to_string(),
        None => "in-memory".into(),
    }
}

pub(super) fn dump(command: &str, server: &Handle) -> Response {
    #[derive(Serialize)]
    struct Dump {
        expiry_time_to_session_ids: BTreeMap<u64, Vec<i64>>,
        session_id_to_ephemeral_paths: BTreeMap<i64, Vec<Path>>,
    }
    let mut fields =
        Dump { expiry_time_to_session_ids: BTreeMap::new(), session_id_to_ephemeral_paths: BTreeMap::new() };
    // The leader alone knows when sessions expire.
    let mode = server.figures().server.mode;
    let knows_expiry = matches!(mode, Mode::Standalone | Mode::Leader);
    for session in server.expiry_figures().sessions {
        if knows_expiry {
            fields.expiry_time_to_session_ids.entry(session.expires.0).or_default().push(session.id.0);
        }
        if !session.ephemerals.is_empty() {
            let paths = session.ephemerals.into_iter().map(Path);
            fields.session_id_to_ephemeral_paths.insert(session.id.0, paths.collect());
        }
    }
    reply::fields(command, fields)
}

/// Returns each pair of a watched path and a session that watches it.
fn pairs(figures: WatchFigures) -> impl Iterator<Item = (Path, SessionId)> {
    let WatchFigures { pairs, sessions, .. } = figures;
    pairs.into_iter().filter_map(move |(path, conn)| Some((Path(path), *sessions.get(&conn)?)))
}

pub(super) fn watches(command: &str, server: &Handle) -> Response {
    #[derive(Serialize)]
    struct BySession {
        session_id_to_watched_paths: BTreeMap<i64, BTreeSet<Path>>,
    }
    let mut session_id_to_watched_paths: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for (path, session) in pairs(server.watch_figures()) {
        session_id_to_watched_paths.entry(session.0).or_default().insert(path);
    }
    reply::fields(command, BySession { session_id_to_watched_paths })
}

pub(super) fn watches_by_path(command: &str, server: &Handle) -> Response {
    #[derive(Serialize)]
    struct ByPath {
        path_to_session_ids: BTreeMap<Path, BTreeSet<i64>>,
    }
    let mut path_to_session_ids: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for (path, session) in pairs(server.watch_figures()) {
        path_to_session_ids.entry(path).or_default().insert(session.0);
    }
    reply::fields(command, ByPath { path_to_session_ids })
}

pub(super) fn watch_summary(command: &str, server: &Handle) -> Response {
    #[derive(Serialize)]
    struct Summary {
        num_connections: usize,
        num_paths: usize,
        num_total_watches: usize,
    }
    let counts = server.figures().data_watches;
    let fields = Summary {
        num_connections: counts.connections,
        num_paths: counts.paths,
        num_total_watches: counts.watches,
    };
    reply::fields(command, fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_in_java() {
        assert_eq!(address("127.0.0.1:80".parse().ok()), "127.0.0.1:80");
        assert_eq!(address("[::1]:80".parse().ok()), "[0:0:0:0:0:0:0:1]:80");
        assert_eq!(address(None), "in-memory");
    }
}
