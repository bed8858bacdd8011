//! Driver of a core: a clock, any number of connections, and everything they receive, in order.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use zk_mini::core::{
    AuditRecord, Change, Compat, Config, ConnId, Core, Input, Note, Now, Output, Peer, ServerSetup, Txn,
};
use zk_wire::*;

/// Message that a connection received.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Heard {
    Handshake(ConnectResponse),
    Event { kind: EventType, path: String, zxid: i64 },
    Reply { xid: Xid, zxid: i64, err: ErrorCode, body: Bytes },
    Closed,
}

/// Credentials to resume a session.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    pub(crate) id: SessionId,
    pub(crate) password: Option<Bytes>,
}

pub(crate) struct Driver {
    pub(crate) core: Core,
    pub(crate) now: Now,
    /// All persisted transactions.
    pub(crate) txns: Vec<Txn>,
    /// Ends of sessions in order: transactions with their nodes, and expiries with none.
    pub(crate) ends: Vec<(Millis, SessionId, Option<Vec<ByteString>>)>,
    /// Expired sessions.
    pub(crate) expired: Vec<SessionId>,
    /// Audit records.
    pub(crate) audited: Vec<AuditRecord>,
    /// Notes for the log.
    pub(crate) notes: Vec<Note>,
    /// Addresses that servers of an ensemble were given.
    pub(crate) listens: Vec<(usize, SocketAddr)>,
    /// Connections whose input is to wait.
    pub(crate) paused: BTreeSet<ConnId>,
    heard: BTreeMap<ConnId, Vec<Heard>>,
    /// Number of servers of an ensemble. Connections go to each in its turn.
    servers: u64,
    next_conn: u64,
    next_xid: i32,
}

impl Driver {
    pub(crate) fn new() -> Self {
        Self::with(Config::default())
    }

    pub(crate) fn compat(compat: Compat) -> Self {
        Self::with(Config { compat, ..Config::default() })
    }

    pub(crate) fn with(config: Config) -> Self {
        let now = Now { mono: Millis(0), wall: UnixMillis(1_700_000_000_000) };
        let core = Core::new(config);
        Self {
            core,
            now,
            txns: Vec::new(),
            ends: Vec::new(),
            expired: Vec::new(),
            audited: Vec::new(),
            notes: Vec::new(),
            listens: Vec::new(),
            paused: BTreeSet::new(),
            heard: BTreeMap::new(),
            servers: 0,
            next_conn: 1,
            next_xid: 1,
        }
    }

    /// Returns the driver of an ensemble.
    pub(crate) fn ensemble(config: Config, servers: u64) -> Self {
        let setups = vec![ServerSetup::default(); usize::try_from(servers).expect("a few")];
        Self::ensemble_of(config, &setups)
    }

    pub(crate) fn ensemble_of(config: Config, servers: &[ServerSetup]) -> Self {
        let mut t = Self { servers: servers.len() as u64, ..Self::with(config) };
        t.core.form_ensemble(t.now, servers);
        t
    }

    /// Opens a connection without a handshake.
    pub(crate) fn accept(&mut self) -> ConnId {
        self.accept_from(Peer::LOCAL)
    }

    pub(crate) fn accept_from(&mut self, peer: Peer) -> ConnId {
        self.accepted(peer, None)
    }

    /// Opens a connection to a listening address.
    pub(crate) fn accept_at(&mut self, listener: Option<usize>) -> ConnId {
        self.accepted(Peer::LOCAL, listener)
    }

    fn accepted(&mut self, peer: Peer, listener: Option<usize>) -> ConnId {
        let conn = ConnId(self.next_conn);
        self.next_conn += 1;
        self.heard.insert(conn, Vec::new());
        let server = conn.0.checked_rem(self.servers).and_then(|server| usize::try_from(server).ok());
        self.input(Input::Accepted { conn, peer, listener: listener.or(server) });
        conn
    }

    /// Opens a connection with a new session.
    pub(crate) fn connect(&mut self, timeout: i32) -> ConnId {
        let conn = self.accept();
        let response = self.handshake(conn, &connect_request(timeout));
        assert_ne!(response.session_id, SessionId::NONE);
        conn
    }

    /// Opens a connection and tries to resume a session.
    pub(crate) fn resume(&mut self, credentials: &Credentials, timeout: i32) -> (ConnId, ConnectResponse) {
        let conn = self.accept();
        let request = ConnectRequest {
            session_id: credentials.id,
            password: credentials.password.clone(),
            ..connect_request(timeout)
        };
        let response = self.handshake(conn, &request);
        (conn, response)
    }

    pub(crate) fn handshake(&mut self, conn: ConnId, request: &ConnectRequest) -> ConnectResponse {
        self.frame(conn, encode(request));
        let last = self.heard[&conn].iter().rev().find(|heard| **heard != Heard::Closed);
        match last {
            Some(Heard::Handshake(response)) => response.clone(),
            other => panic!("no answer to the handshake but {other:?}"),
        }
    }

    pub(crate) fn credentials(&self, conn: ConnId) -> Credentials {
        match self.heard[&conn].first() {
            Some(Heard::Handshake(response)) => {
                Credentials { id: response.session_id, password: response.password.clone() }
            }
            other => panic!("{conn:?} has no session but {other:?}"),
        }
    }

    pub(crate) fn session(&self, conn: ConnId) -> SessionId {
        self.credentials(conn).id
    }

    /// Passes the body of a frame to the core.
    pub(crate) fn frame(&mut self, conn: ConnId, frame: Bytes) {
        self.input(Input::Frame { conn, frame });
    }

    pub(crate) fn lose(&mut self, conn: ConnId) {
        self.input(Input::Closed { conn });
    }

    pub(crate) fn ping(&mut self, conn: ConnId) {
        let mut frame = BytesMut::new();
        RequestHeader { xid: Xid::PING, op: OpCode::PING }.encode(&mut frame);
        self.frame(conn, frame.freeze());
    }

    /// Sends a request, and does not look for a reply.
    pub(crate) fn send<R: Request>(&mut self, conn: ConnId, request: &R) {
        let mut frame = BytesMut::new();
        RequestHeader { xid: Xid(self.next_xid), op: R::OP }.encode(&mut frame);
        self.next_xid += 1;
        request.encode(&mut frame);
        self.frame(conn, frame.freeze());
    }

    /// Sends a request and returns its reply, which must be the last message except for a close.
    pub(crate) fn reply<R: Request>(&mut self, conn: ConnId, request: &R) -> (i64, ErrorCode, Bytes) {
        self.raw(conn, R::OP, &encode(request))
    }

    /// Sends any op code and body, and returns the reply.
    pub(crate) fn raw(&mut self, conn: ConnId, op: OpCode, body: &[u8]) -> (i64, ErrorCode, Bytes) {
        let xid = Xid(self.next_xid);
        self.next_xid += 1;
        let mut frame = BytesMut::new();
        RequestHeader { xid, op }.encode(&mut frame);
        frame.extend_from_slice(body);
        self.frame(conn, frame.freeze());
        match self.heard[&conn].iter().rev().find(|heard| **heard != Heard::Closed) {
            Some(Heard::Reply { xid: answered, zxid, err, body }) if *answered == xid => {
                (*zxid, *err, body.clone())
            }
            other => panic!("no reply to {op} but {other:?}"),
        }
    }

    /// Sends a request and decodes its reply, which must have no trailing bytes.
    pub(crate) fn call<R: Request>(&mut self, conn: ConnId, request: &R) -> Result<R::Response, ErrorCode> {
        let (_, err, body) = self.reply(conn, request);
        err.into_result()?;
        Ok(decode_all(body).expect("a reply of the right form"))
    }

    /// Returns the events since the last call, in order.
    pub(crate) fn events(&mut self, conn: ConnId) -> Vec<(EventType, String)> {
        let heard = self.heard.get_mut(&conn).expect("a known connection");
        let mut events = Vec::new();
        heard.retain(|heard| match heard {
            Heard::Event { kind, path, .. } => {
                events.push((*kind, path.clone()));
                false
            }
            _ => true,
        });
        events
    }

    /// Returns all messages in order.
    pub(crate) fn heard(&self, conn: ConnId) -> &[Heard] {
        &self.heard[&conn]
    }

    pub(crate) fn is_closed(&self, conn: ConnId) -> bool {
        self.heard[&conn].last() == Some(&Heard::Closed)
    }

    /// Moves the clock, with a timeout at every deadline on the way.
    pub(crate) fn advance(&mut self, span: u64) {
        let end = self.now.mono + Millis(span);
        while let Some(deadline) = self.core.poll_deadline().filter(|&deadline| deadline <= end) {
            self.move_to(deadline);
            self.input(Input::Timeout);
            assert_ne!(
                self.core.poll_deadline(),
                Some(deadline),
                "a deadline is dealt with when it is reached"
            );
        }
        self.move_to(end);
    }

    /// Moves the clock without telling the core, as if the process were suspended.
    pub(crate) fn stall(&mut self, span: u64) {
        self.move_to(self.now.mono + Millis(span));
    }

    /// Passes timeouts until nothing is due, and returns their number.
    pub(crate) fn catch_up(&mut self) -> usize {
        let mut taken = 0;
        while self.core.poll_deadline().is_some_and(|deadline| deadline <= self.now.mono) {
            self.input(Input::Timeout);
            taken += 1;
            assert!(taken < 10_000, "the timeouts never end");
        }
        taken
    }

    /// Replaces the core by one that has been started again. All connections are closed.
    pub(crate) fn replace(&mut self, core: Core) {
        for peer in self.core.connections() {
            self.listen(peer.conn).push(Heard::Closed);
        }
        self.core = core;
    }

    fn move_to(&mut self, mono: Millis) {
        let span = mono.since(self.now.mono);
        self.now.mono = mono;
        self.now.wall.0 += i64::try_from(span.0).expect("a short test");
    }

    pub(crate) fn input(&mut self, input: Input) {
        self.core.handle(self.now, input);
        self.drain();
    }

    /// Performs the outputs of a change that is no input.
    pub(crate) fn drain(&mut self) {
        self.core.replicate(self.now);
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Persist(txn) => {
                    if let Change::CloseSession { ephemerals } = &txn.change {
                        let nodes = ephemerals.clone().unwrap_or_default();
                        self.ends.push((self.now.mono, txn.session, Some(nodes)));
                    }
                    self.txns.push(txn);
                }
                Output::Send { conn, frame } => self.hear(conn, frame),
                Output::Expired { session } => {
                    self.ends.push((self.now.mono, session, None));
                    self.expired.push(session);
                }
                Output::Listen { server, addr, is_new } => {
                    self.listens.push((server, addr));
                    if is_new {
                        self.core.start_server(self.now, server);
                    }
                }
                Output::Note(note) => self.notes.push(note),
                Output::Audit(record) => self.audited.push(*record),
                Output::Pause { conn } => assert!(self.paused.insert(conn), "a connection is paused once"),
                Output::Resume { conn } => assert!(self.paused.remove(&conn), "and resumed if it is paused"),
                Output::Close { conn } => self.listen(conn).push(Heard::Closed),
            }
        }
    }

    fn listen(&mut self, conn: ConnId) -> &mut Vec<Heard> {
        let heard = self.heard.get_mut(&conn).expect("nothing is sent to an unknown connection");
        assert_ne!(heard.last(), Some(&Heard::Closed), "nothing is sent after a close");
        heard
    }

    fn hear(&mut self, conn: ConnId, frame: Bytes) {
        let mut buffer = BytesMut::from(frame);
        let mut body = next_frame(&mut buffer, usize::MAX).expect("a length").expect("a whole frame");
        assert!(buffer.is_empty(), "one frame at a time");
        let heard = self.listen(conn);
        let heard_now = if heard.is_empty() {
            Heard::Handshake(decode_all(body).expect("an answer to the handshake"))
        } else {
            let ReplyHeader { xid, zxid, err } = ReplyHeader::decode(&mut body, "").expect("a header");
            if xid == Xid::NOTIFICATION && err == ErrorCode::OK && zxid_is_of_event(&body) {
                let WatchedEvent { event, state, path } = decode_all(body).expect("an event");
                assert_eq!(state, KeeperState::SYNC_CONNECTED);
                Heard::Event { kind: event, path: path.to_string(), zxid: zxid.0 }
            } else {
                Heard::Reply { xid, zxid: zxid.0, err, body }
            }
        };
        heard.push(heard_now);
    }
}

/// Returns `true` for an event, and `false` for the reply to a request with the xid -1.
fn zxid_is_of_event(body: &Bytes) -> bool {
    decode_all::<WatchedEvent>(body.clone()).is_ok()
}

pub(crate) fn encode(value: &impl Encode) -> Bytes {
    let mut out = BytesMut::new();
    value.encode(&mut out);
    out.freeze()
}

pub(crate) fn connect_request(timeout: i32) -> ConnectRequest {
    ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: Zxid(0),
        timeout,
        session_id: SessionId::NONE,
        password: None,
        read_only: Some(false),
    }
}

pub(crate) fn create(path: &str, mode: CreateMode) -> Create {
    create_with(path, b"", mode)
}

pub(crate) fn create_with(path: &str, data: &[u8], mode: CreateMode) -> Create {
    Create {
        path: path.into(),
        data: Some(Bytes::copy_from_slice(data)),
        acl: Some(vec![Acl::open()]),
        flags: mode.flags(),
    }
}

pub(crate) fn delete(path: &str) -> Delete {
    Delete { path: path.into(), version: Expected::Any }
}

pub(crate) fn set_data(path: &str, data: &[u8], version: i32) -> SetData {
    SetData {
        path: Some(path.into()),
        data: Some(Bytes::copy_from_slice(data)),
        version: Version(version).into(),
    }
}

pub(crate) fn get_data(path: &str, watch: bool) -> GetData {
    GetData { path: path.into(), watch }
}

pub(crate) fn exists(path: &str, watch: bool) -> Exists {
    Exists { path: path.into(), watch }
}

pub(crate) fn get_children(path: &str, watch: bool) -> GetChildren {
    GetChildren { path: path.into(), watch }
}
