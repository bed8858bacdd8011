//! `srvr` and `stat`: the server in a few lines, and its connections.

use std::fmt::{self, Write};

use super::clients::Brief;
use crate::core::ConnId;
use crate::report::figures::{
    Configuration, ConnectionFigures, LeaderFigures, Mode, ProposalSizes, ServerFigures,
};

/// Writes the server in a few lines.
pub(crate) fn answer(config: &Configuration, figures: &ServerFigures) -> String {
    let mut out = head(config, figures);
    // Writing to a string cannot fail.
    let _ = write(&mut out, figures);
    out
}

/// Writes the same, with the connections before it.
pub(crate) fn answer_with_clients(
    config: &Configuration,
    figures: &ServerFigures,
    connections: &[ConnectionFigures],
    asking: ConnId,
) -> String {
    let mut out = head(config, figures);
    out.push_str("Clients:\n");
    for connection in connections {
        let _ = writeln!(out, " {})", Brief { connection, asking });
    }
    out.push('\n');
    let _ = write(&mut out, figures);
    out
}

fn head(config: &Configuration, figures: &ServerFigures) -> String {
    let mut out = format!("Zookeeper version: {}\n", config.version());
    if figures.mode == Mode::ReadOnly {
        out.push_str("READ-ONLY mode; serving only read-only clients\n");
    }
    out
}

fn write(out: &mut String, figures: &ServerFigures) -> fmt::Result {
    let latency = figures.stats.latency().totals;
    writeln!(out, "Latency min/avg/max: {}/{:?}/{}", latency.min, latency.mean(), latency.max)?;
    writeln!(out, "Received: {}", figures.stats.received)?;
    writeln!(out, "Sent: {}", figures.stats.sent)?;
    writeln!(out, "Connections: {}", figures.connections)?;
    // Requests are answered as they are read: none waits.
    writeln!(out, "Outstanding: 0")?;
    writeln!(out, "Zxid: {}", figures.last_zxid)?;
    writeln!(out, "Mode: {}", figures.mode.name())?;
    writeln!(out, "Node count: {}", figures.nodes_in_zookeeper())?;
    let Some(LeaderFigures { proposals, .. }) = figures.ensemble.and_then(|ensemble| ensemble.leader) else {
        return Ok(());
    };
    match proposals {
        Some(ProposalSizes { last, min, max }) => {
            writeln!(out, "Proposal sizes last/min/max: {last}/{min}/{max}")
        }
        None => writeln!(out, "Proposal sizes last/min/max: -1/-1/-1"),
    }
}
