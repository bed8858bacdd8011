//! Runs a script on a server and records the answers.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use bytes::Bytes;
use zk_wire::{
    Acl, ConnectRequest, ConnectResponse, Create, Decode, Encode, ErrorCode, OpCode, ReplyHeader, Request,
    SessionId, Xid, Zxid, decode_all,
};

use super::peer::{Arrival, Peer};
use super::record::{Normaliser, Received, StepRecord};
use super::script::{Action, Bindings, Field, Script, Step, encode, encode_request};
use super::times::Times;

/// Session timeout of the harness's own connection.
const TIMEOUT_MS: i32 = 40_000;

/// Effects of a script on one server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Transcript {
    /// Steps with their records.
    pub steps: Vec<(Step, StepRecord)>,
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps.iter().try_for_each(|(step, record)| writeln!(f, "{step}\n{record}"))
    }
}

/// A server and the harness's own session with it.
pub struct Subject {
    server: SocketAddr,
    control: Peer,
    cases: u32,
}

impl Subject {
    /// Opens the harness's own session.
    ///
    /// # Errors
    /// If the server cannot be reached or grants no session.
    pub fn connect(server: SocketAddr) -> io::Result<Self> {
        Ok(Self { server, control: attach(server, SessionId::NONE, Bytes::new())?.0, cases: 0 })
    }

    /// Runs a script below a fresh parent node, and ends its sessions.
    ///
    /// # Errors
    /// If the server can no longer be reached, or gives wrong answers to the harness's own requests.
    pub fn run(&mut self, script: &Script) -> io::Result<Transcript> {
        self.run_observed(script, |_, _, _| {})
    }

    /// Runs a script as [`run`](Self::run) does, and shows each frame to `observer`: index of the step, true for a frame of
    /// the server, bytes.
    ///
    /// # Errors
    /// The errors of [`run`](Self::run).
    pub fn run_observed(
        &mut self,
        script: &Script,
        observer: impl FnMut(usize, bool, &[u8]),
    ) -> io::Result<Transcript> {
        self.cases += 1;
        let base = format!("/case-{:08}", self.cases);
        let path = base.as_str().into();
        let create = Create { path, data: Some(Bytes::new()), acl: Some(vec![Acl::open()]), flags: 0 };
        let created = call(&mut self.control, &create)?;
        if created.err != ErrorCode::OK {
            return Err(io::Error::other(format!("create of {base}: {}", created.err)));
        }
        let bindings = Bindings { base, zxid: created.zxid, ..Bindings::default() };
        let (conns, sessions, times) = (BTreeMap::new(), Vec::new(), Times::default());
        let mut run = Run { subject: self, bindings, conns, sessions, times, step: 0, observer };
        let mut steps = Vec::new();
        for (index, step) in script.steps.iter().enumerate() {
            run.step = index;
            steps.push((step.clone(), run.perform(step)?));
        }
        run.end()?;
        Ok(Transcript { steps })
    }
}

/// A running script.
struct Run<'a, F> {
    subject: &'a mut Subject,
    bindings: Bindings,
    conns: BTreeMap<usize, Conn>,
    /// Sessions in the order of their creation.
    sessions: Vec<(SessionId, Bytes)>,
    times: Times,
    /// Index of the present step.
    step: usize,
    observer: F,
}

struct Conn {
    peer: Peer,
    next_xid: i32,
}

impl<F: FnMut(usize, bool, &[u8])> Run<'_, F> {
    fn perform(&mut self, step: &Step) -> io::Result<StepRecord> {
        let mut record = StepRecord::default();
        match &step.action {
            Action::Connect(fields) => self.connect(step.conn, fields, &mut record)?,
            Action::Disconnect => {
                let arrivals = self.disconnect(step.conn)?;
                self.note_all(&mut record, step.conn, OpCode::PING, &arrivals);
            }
            action => {
                let op = if let Action::Request { op, .. } = action { *op } else { OpCode::PING };
                match self.send(step, op)? {
                    Some(arrivals) => self.note_all(&mut record, step.conn, op, &arrivals),
                    None => record.received.push((step.conn, Received::NotConnected)),
                }
            }
        }
        self.settle(&mut record)?;
        if matches!(step.action, Action::Request { op: OpCode::CLOSE_SESSION, .. }) {
            sort_events(&mut record.received);
        }
        Ok(record)
    }

    /// Opens a connection and takes the answer to its first frame.
    fn connect(&mut self, conn: usize, fields: &[Field], record: &mut StepRecord) -> io::Result<()> {
        self.disconnect(conn)?;
        let frame = encode(fields, &self.bindings);
        (self.observer)(self.step, false, &frame);
        let mut peer = Peer::connect(self.subject.server)?;
        peer.send(&frame);
        let mut arrivals = peer.receive_reply()?;
        match arrivals.last().and_then(granted) {
            Some((SessionId::NONE, _)) => arrivals.extend(peer.receive_reply()?),
            Some(session) => {
                if !self.sessions.contains(&session) {
                    self.sessions.push(session.clone());
                }
                self.bindings.sessions.insert(conn, session);
            }
            None => {}
        }
        self.conns.insert(conn, Conn { peer, next_xid: 1 });
        self.note_all(record, conn, OpCode::CREATE_SESSION, &arrivals);
        Ok(())
    }

    /// Sends the frame of a step and waits for the reply; `None` without a connection.
    fn send(&mut self, step: &Step, op: OpCode) -> io::Result<Option<Vec<Arrival>>> {
        let Some(conn) = self.conns.get_mut(&step.conn).filter(|conn| !conn.peer.is_closed()) else {
            return Ok(None);
        };
        match &step.action {
            Action::Request { xid, op, body } => {
                let xid = xid.unwrap_or(Xid(conn.next_xid));
                conn.next_xid += 1;
                let frame = encode_request(xid, *op, body, &self.bindings);
                (self.observer)(self.step, false, &frame);
                conn.peer.send(&frame);
            }
            Action::Frame(fields) => conn.peer.send(&encode(fields, &self.bindings)),
            Action::Bytes(fields) => conn.peer.send_bytes(&encode(fields, &self.bindings)),
            Action::Connect(_) | Action::Disconnect => {}
        }
        let mut arrivals = conn.peer.receive_reply()?;
        if ends_connection(op, arrivals.last()) {
            arrivals.extend(conn.peer.receive_reply()?);
        }
        Ok(Some(arrivals))
    }

    /// Makes a round trip on each connection: all effects of a step arrive before its answer.
    fn settle(&mut self, record: &mut StepRecord) -> io::Result<()> {
        let mut arrived = Vec::new();
        for (number, conn) in self.conns.iter_mut().filter(|(_, conn)| !conn.peer.is_closed()) {
            conn.peer.send(&ping());
            let mut arrivals = conn.peer.receive_reply()?;
            if is_pong(arrivals.last()) {
                arrivals.pop();
            }
            arrived.extend(arrivals.into_iter().map(|arrival| (*number, arrival)));
        }
        for (number, arrival) in arrived {
            self.note(record, number, OpCode::PING, &arrival);
        }
        self.subject.control.send(&ping());
        let zxid = reply_header(self.subject.control.receive_reply()?)?.zxid;
        record.zxid = self.normaliser(&[]).number(zxid.0);
        Ok(())
    }

    fn note_all(&mut self, record: &mut StepRecord, conn: usize, op: OpCode, arrivals: &[Arrival]) {
        for arrival in arrivals {
            self.note(record, conn, op, arrival);
        }
    }

    fn note(&mut self, record: &mut StepRecord, conn: usize, op: OpCode, arrival: &Arrival) {
        let received = match arrival {
            Arrival::Frame(frame) => {
                (self.observer)(self.step, true, frame);
                let ids: Vec<_> = self.sessions.iter().map(|session| session.0).collect();
                self.normaliser(&ids).received(op, frame)
            }
            Arrival::Closed => Received::Closed,
            Arrival::Silence => Received::Nothing,
        };
        record.received.push((conn, received));
    }

    fn normaliser<'b>(&'b self, sessions: &'b [SessionId]) -> Normaliser<'b> {
        Normaliser { base: &self.bindings.base, zxid: self.bindings.zxid.0, sessions, times: &self.times }
    }

    fn disconnect(&mut self, conn: usize) -> io::Result<Vec<Arrival>> {
        match self.conns.remove(&conn) {
            Some(mut conn) if !conn.peer.is_closed() => conn.peer.finish(),
            _ => Ok(vec![]),
        }
    }

    /// Ends all sessions of the script, so that none expires during a later one.
    fn end(mut self) -> io::Result<()> {
        for conn in self.conns.keys().copied().collect::<Vec<_>>() {
            self.disconnect(conn)?;
        }
        for (id, password) in self.sessions {
            let (mut peer, session) = attach(self.subject.server, id, password)?;
            if session != SessionId::NONE {
                peer.send(&encode_request(Xid(1), OpCode::CLOSE_SESSION, &[], &self.bindings));
                peer.receive_reply()?;
                peer.finish()?;
            }
        }
        Ok(())
    }
}

/// Returns true if a server closes the connection after this reply. It does so a moment later: a ping in between would be
/// answered or not, by chance.
pub(super) fn ends_connection(op: OpCode, reply: Option<&Arrival>) -> bool {
    let Some(Arrival::Frame(frame)) = reply else { return false };
    let header = ReplyHeader::decode(&mut frame.clone(), "header");
    header.is_ok_and(|header| match header.err {
        ErrorCode::OK => op == OpCode::CLOSE_SESSION,
        // This is an unknown operation. A refused node with a time to live has a zxid.
        ErrorCode::UNIMPLEMENTED => header.zxid == Zxid(-1),
        code => code == ErrorCode::AUTH_FAILED,
    })
}

/// Returns the session and password that the answer to a first frame grants.
fn granted(arrival: &Arrival) -> Option<(SessionId, Bytes)> {
    let Arrival::Frame(frame) = arrival else { return None };
    let response = ConnectResponse::decode(&mut frame.clone(), "response").ok()?;
    Some((response.session_id, response.password.unwrap_or_default()))
}

/// Sorts events of the end of a session, whose nodes are deleted in no order.
fn sort_events(received: &mut [(usize, Received)]) {
    let is_event = |entry: &(usize, Received)| matches!(entry.1, Received::Event { .. });
    for run in received.chunk_by_mut(|a, b| a.0 == b.0 && is_event(a) && is_event(b)) {
        run.sort_by_key(|entry| entry.1.to_string());
    }
}

pub(super) fn ping() -> Bytes {
    encode_request(Xid::PING, OpCode::PING, &[], &Bindings::default()).freeze()
}

fn is_pong(arrival: Option<&Arrival>) -> bool {
    let Some(Arrival::Frame(frame)) = arrival else { return false };
    let header = decode_all::<ReplyHeader>(frame.clone());
    header.is_ok_and(|header| header.xid == Xid::PING && header.err == ErrorCode::OK)
}

/// Opens a connection of the harness's own. Its session is `NONE` if the requested one no longer exists.
pub(super) fn attach(
    server: SocketAddr,
    session_id: SessionId,
    password: Bytes,
) -> io::Result<(Peer, SessionId)> {
    let mut peer = Peer::connect(server)?;
    let request = ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: Zxid(0),
        timeout: TIMEOUT_MS,
        session_id,
        password: Some(password),
        read_only: Some(false),
    };
    let mut frame = bytes::BytesMut::new();
    request.encode(&mut frame);
    peer.send(&frame);
    match peer.receive_reply()?.pop() {
        Some(Arrival::Frame(frame)) => {
            let response = decode_all::<ConnectResponse>(frame).map_err(io::Error::other)?;
            Ok((peer, response.session_id))
        }
        other => Err(io::Error::other(format!("{server} answers a connect request with {other:?}"))),
    }
}

pub(super) fn call<R: Request>(peer: &mut Peer, request: &R) -> io::Result<ReplyHeader> {
    let mut frame = encode_request(Xid(1), R::OP, &[], &Bindings::default());
    request.encode(&mut frame);
    peer.send(&frame);
    reply_header(peer.receive_reply()?)
}

fn reply_header(mut arrivals: Vec<Arrival>) -> io::Result<ReplyHeader> {
    match arrivals.pop() {
        Some(Arrival::Frame(mut frame)) => {
            ReplyHeader::decode(&mut frame, "header").map_err(io::Error::other)
        }
        other => {
            let what = format!("the harness's own connection received {other:?} instead of a reply");
            Err(io::Error::new(ErrorKind::UnexpectedEof, what))
        }
    }
}
