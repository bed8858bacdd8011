//! `srvr` and `stat`: the server in a few lines, and who is connected.

use std::fmt::{self, Write};

use super::clients::Client;
use super::{About, node_count, version};
use crate::core::ConnId;
use crate::engine::State;

/// With the connections if it is known which one asks for them.
pub(super) fn answer(state: &State, about: &About, with_clients_for: Option<ConnId>) -> String {
    let mut out = format!("Zookeeper version: {}\n", version(about));
    // Writing to a string cannot fail.
    let _ = write(&mut out, state, with_clients_for);
    out
}

fn write(out: &mut String, state: &State, with_clients_for: Option<ConnId>) -> fmt::Result {
    let stats = &state.connections.stats;
    if let Some(from) = with_clients_for {
        writeln!(out, "Clients:")?;
        for (id, entry) in state.connections.iter() {
            writeln!(out, " {})", Client { entry, asks: id == from })?;
        }
        writeln!(out)?;
    }
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
