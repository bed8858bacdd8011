//! `cons`: everything about the connections.

use std::fmt::{self, Write};
use std::net::SocketAddr;

use foldhash::HashMap;
use zk_wire::{Millis, OpCode, SessionId, UnixMillis};

use crate::core::ConnId;
use crate::shell::connections::Entry;
use crate::shell::state::ServerState;
use crate::shell::stats::ConnectionStats;

/// The connections as they are now.
pub(super) fn gather(state: &ServerState, from: ConnId) -> Vec<Client> {
    let sessions: HashMap<_, _> =
        state.core.session_conns().map(|(conn, id, timeout)| (conn, (id, timeout))).collect();
    let client = |(id, entry): (ConnId, &Entry)| Client {
        remote: entry.remote,
        established: entry.established,
        stats: entry.stats.clone(),
        session: sessions.get(&id).copied(),
        asks: id == from,
    };
    state.connections.iter().map(client).collect()
}

pub(super) fn answer(clients: &[Client]) -> String {
    let mut out = String::new();
    for client in clients {
        // Writing to a string cannot fail.
        let _ = write(&mut out, client);
    }
    out.push('\n');
    out
}

fn write(out: &mut String, client: &Client) -> fmt::Result {
    write!(out, " {client}")?;
    if let Some((sid, Millis(to))) = client.session {
        let stats = &client.stats;
        let op = stats.op.map_or("NA", op_name);
        write!(out, ",sid={sid},lop={op},est={},to={to}", client.established.0)?;
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

/// A connection in brief, as `stat` and `cons` begin a line; the bracket is left open.
pub(super) struct Client {
    remote: Option<SocketAddr>,
    established: UnixMillis,
    stats: ConnectionStats,
    /// Its session, with the timeout, if it has one.
    session: Option<(SessionId, Millis)>,
    /// It is the one that asks, and nothing more is read from it.
    asks: bool,
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (remote, stats) = (Remote(self.remote), &self.stats);
        let (interest, received, sent) = (u8::from(!self.asks), stats.received, stats.sent);
        write!(f, "{remote}[{interest}](queued=0,recved={received},sent={sent}")
    }
}

/// An address as Java prints it; a connection in this process has none.
pub(super) struct Remote(pub(super) Option<SocketAddr>);

impl fmt::Display for Remote {
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

/// What the real server calls an operation here.
fn op_name(op: OpCode) -> &'static str {
    match op {
        OpCode::CREATE | OpCode::CREATE2 | OpCode::CREATE_CONTAINER | OpCode::CREATE_TTL => "CREA",
        OpCode::DELETE | OpCode::DELETE_CONTAINER => "DELE",
        OpCode::EXISTS => "EXIS",
        OpCode::GET_DATA => "GETD",
        OpCode::SET_DATA => "SETD",
        OpCode::GET_ACL => "GETA",
        OpCode::SET_ACL => "SETA",
        OpCode::GET_CHILDREN | OpCode::GET_CHILDREN2 => "GETC",
        OpCode::SYNC => "SYNC",
        OpCode::PING => "PING",
        OpCode::CHECK => "CHEC",
        OpCode::MULTI => "MULT",
        OpCode::MULTI_READ => "MLTR",
        OpCode::RECONFIG => "RECO",
        OpCode::CHECK_WATCHES => "CHKW",
        OpCode::REMOVE_WATCHES => "REMW",
        OpCode::SET_WATCHES => "SETW",
        OpCode::SET_WATCHES2 => "STW2",
        OpCode::ADD_WATCH => "ADDW",
        OpCode::GET_EPHEMERALS => "GETE",
        OpCode::GET_ALL_CHILDREN_NUMBER => "GETACN",
        OpCode::WHO_AM_I => "HOMI",
        OpCode::CREATE_SESSION => "SESS",
        OpCode::CLOSE_SESSION => "CLOS",
        _ => "NA",
    }
}
