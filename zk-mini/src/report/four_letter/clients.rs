//! `cons`: every figure of every connection.

use std::fmt::{self, Write};
use std::net::SocketAddr;

use zk_wire::{Millis, OpCode};

use crate::core::ConnId;
use crate::report::figures::ConnectionFigures;

pub(crate) fn answer(connections: &[ConnectionFigures], asking: ConnId) -> String {
    let mut out = String::new();
    for connection in connections {
        // Writing to a string cannot fail.
        let _ = write(&mut out, connection, asking);
    }
    out.push('\n');
    out
}

fn write(out: &mut String, connection: &ConnectionFigures, asking: ConnId) -> fmt::Result {
    write!(out, " {}", Brief { connection, asking })?;
    if let Some((sid, Millis(to))) = connection.session {
        let stats = &connection.stats;
        let op = stats.op.map_or("NA", OpCode::short_name);
        write!(out, ",sid={sid},lop={op},est={},to={to}", connection.established.0)?;
        if let Some(xid) = stats.xid {
            write!(out, ",lcxid={xid:#x}")?;
        }
        let (zxid, latency) = (stats.zxid.map_or(-1, |zxid| zxid.0), stats.latency);
        write!(out, ",lzxid={zxid:#x},lresp={},llat={}", stats.answered.0, stats.last_latency)?;
        let average = latency.sum.checked_div(latency.count).unwrap_or(0);
        write!(out, ",minlat={},avglat={average},maxlat={}", latency.min, latency.max)?;
    }
    writeln!(out, ")")
}

/// A connection in brief, as lines of `stat` and `cons` begin; the bracket is left open.
pub(super) struct Brief<'a> {
    pub(super) connection: &'a ConnectionFigures,
    /// The connection that asks: nothing more is read from it.
    pub(super) asking: ConnId,
}

impl fmt::Display for Brief<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ConnectionFigures { conn, remote, stats, .. } = self.connection;
        let (remote, interest) = (JavaAddr(*remote), u8::from(*conn != self.asking));
        write!(f, "{remote}[{interest}](queued=0,recved={},sent={}", stats.received, stats.sent)
    }
}

/// An address as Java prints it; `None` for a connection in this process.
pub(super) struct JavaAddr(pub(super) Option<SocketAddr>);

impl fmt::Display for JavaAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(SocketAddr::V6(remote)) => {
                // Java writes every group, and none with leading zeros.
                let groups = remote.ip().segments().map(|group| format!("{group:x}")).join(":");
                write!(f, "/[{groups}]:{}", remote.port())
            }
            Some(remote) => write!(f, "/{remote}"),
            None => f.write_str("/in-memory"),
        }
    }
}
