//! `cons`: everything about the connections.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::net::SocketAddr;

use zk_wire::OpCode;

use crate::connections::Entry;
use crate::core::{ConnId, SessionInfo};
use crate::engine::State;

pub(super) fn answer(state: &State, from: ConnId) -> String {
    let sessions: BTreeMap<_, _> =
        state.core.sessions().into_iter().filter_map(|session| Some((session.conn?, session))).collect();
    let mut out = String::new();
    for (id, entry) in state.connections.iter() {
        // Writing to a string cannot fail.
        let _ = write(&mut out, &Client { entry, asks: id == from }, sessions.get(&id));
    }
    out.push('\n');
    out
}

fn write(out: &mut String, client: &Client<'_>, session: Option<&SessionInfo>) -> fmt::Result {
    write!(out, " {client}")?;
    if let Some(session) = session {
        let (entry, stats) = (client.entry, &client.entry.stats);
        let (sid, op, to) = (session.id, stats.op.map_or("NA", op_name), session.timeout.0);
        write!(out, ",sid={sid},lop={op},est={},to={to}", entry.established.0)?;
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
pub(super) struct Client<'a> {
    pub(super) entry: &'a Entry,
    /// It is the one that asks, and nothing more is read from it.
    pub(super) asks: bool,
}

impl fmt::Display for Client<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (remote, stats) = (Remote(self.entry.remote), &self.entry.stats);
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
