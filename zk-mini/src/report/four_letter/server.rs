//! `srvr` and `stat`: the server in a few lines, and who is connected.

use std::fmt::{self, Write};

use super::clients::Client;
use super::{About, node_count, version};
use crate::shell::state::ServerState;

/// The server in a few lines.
pub(super) fn answer(state: &ServerState, about: &About) -> String {
    first_line(about) + &rest(state)
}

/// The same with the connections before it.
pub(super) fn with_clients(about: &About, clients: &[Client], rest: &str) -> String {
    let mut out = first_line(about);
    out.push_str("Clients:\n");
    for client in clients {
        let _ = writeln!(out, " {client})");
    }
    out.push('\n');
    out.push_str(rest);
    out
}

fn first_line(about: &About) -> String {
    format!("Zookeeper version: {}\n", version(about))
}

/// Writes the part after the connections.
pub(super) fn rest(state: &ServerState) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut out, state);
    out
}

fn write(out: &mut String, state: &ServerState) -> fmt::Result {
    let stats = &state.connections.stats;
    let latency = stats.latency().totals;
    writeln!(out, "Latency min/avg/max: {}/{:?}/{}", latency.min, latency.mean(), latency.max)?;
    writeln!(out, "Received: {}", stats.received)?;
    writeln!(out, "Sent: {}", stats.sent)?;
    writeln!(out, "Connections: {}", state.connections.len())?;
    // Requests are answered as they are read: none waits.
    writeln!(out, "Outstanding: 0")?;
    writeln!(out, "Zxid: {}", state.core.last_zxid())?;
    writeln!(out, "Mode: standalone")?;
    writeln!(out, "Node count: {}", node_count(&state.core))
}
