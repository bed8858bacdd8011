//! A session with a clock of its own; the test plays the server.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use common::Millis;
use zk_wire::{
    AddWatch, ByteString, ConnectRequest, ConnectResponse, Decode, Encode, ErrorCode, EventType, Exists,
    GetChildren2, GetData, KeeperState, OpCode, ReplyHeader, Request, RequestHeader, SessionId, SetWatches,
    SetWatches2, WatchedEvent, Xid, Zxid, decode_all,
};

use crate::session::{
    AttemptId, Call, CallFailure, CallId, CloseResult, DisconnectCause, Input, LoginError, Outgoing, Output,
    Session, SessionConfig, WatchKey, WatchKind,
};
use crate::session_state::SessionState;
use crate::session_state::WatchLost;

pub(super) const TIMEOUT: u64 = 9_000;
pub(super) const SESSION: SessionId = SessionId(0x51);

pub(super) fn config(servers: usize) -> SessionConfig {
    let [session_timeout, connect_timeout] = [Millis(TIMEOUT); 2];
    SessionConfig {
        servers,
        session_timeout,
        connect_timeout,
        read_only: false,
        answer_timeout: None,
        max_pending: 100,
        identities: Vec::new(),
        sasl: None,
        seed: 1,
        attach: None,
    }
}

/// Session under test: notes its outputs, and checks the rules that always hold.
pub(super) struct Rig {
    pub(super) session: Session<()>,
    pub(super) now: u64,
    pub(super) link: RigLink,
    /// Number of addresses of each server.
    pub(super) addresses: usize,
    /// Servers and addresses of all attempts to connect.
    pub(super) connects: Vec<(usize, usize)>,
    pub(super) is_resolver_silent: bool,
    /// Questions for the mode of a server, with their times.
    pub(super) asked: Vec<(u64, usize)>,
    looked_up: Option<usize>,
    /// Attempts under way, oldest first.
    pub(super) attempts: Vec<AttemptId>,
    /// Requests of this connection that the server has not answered.
    pub(super) received: VecDeque<(RequestHeader, Bytes)>,
    pub(super) handshake: Option<ConnectRequest>,
    pub(super) completed: BTreeMap<u64, Result<Bytes, CallFailure>>,
    pub(super) watching: BTreeMap<u64, WatchKey>,
    pub(super) fired: BTreeMap<u64, Result<WatchedEvent, WatchLost>>,
    /// Events of lasting watches; `None` where some may have been missed.
    pub(super) updates: Vec<(u64, Option<WatchedEvent>)>,
    pub(super) states: Vec<SessionState>,
    pub(super) closed: Option<CloseResult>,
    /// Reason of the last failure of a login.
    pub(super) refused: Option<LoginError>,
    last_sent: u64,
    /// Time since when the next answer is due.
    owed: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum RigLink {
    None,
    Opening,
    Open,
    /// The handshake was answered with a session.
    Live,
}

impl Rig {
    /// Creates a session that has asked for its first connection.
    pub(super) fn new(config: SessionConfig) -> Self {
        let mut rig = Self::idle(config);
        rig.input(Input::Timeout);
        rig
    }

    /// Creates a session that has not begun.
    pub(super) fn idle(config: SessionConfig) -> Self {
        Self {
            session: Session::new(config),
            now: 0,
            link: RigLink::None,
            addresses: 1,
            connects: Vec::new(),
            is_resolver_silent: false,
            asked: Vec::new(),
            looked_up: None,
            attempts: Vec::new(),
            received: VecDeque::new(),
            handshake: None,
            completed: BTreeMap::new(),
            watching: BTreeMap::new(),
            fired: BTreeMap::new(),
            updates: Vec::new(),
            states: Vec::new(),
            closed: None,
            refused: None,
            last_sent: 0,
            owed: 0,
        }
    }

    /// Creates a session that is live.
    pub(super) fn live() -> Self {
        let mut rig = Self::new(config(1));
        rig.accept();
        rig.give_session(SESSION);
        rig
    }

    pub(super) fn input(&mut self, input: Input) {
        let mut next = Some(input);
        while let Some(input) = next {
            self.session.handle(Millis(self.now), input);
            self.drain();
            next = self.looked_up.take().map(Input::LookedUp);
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.session.poll_output() {
            assert_eq!(self.closed, None, "nothing comes after the end: {output:?}");
            self.note(output);
        }
        let mut bytes = BytesMut::new();
        self.session.transmit(&mut bytes);
        self.receive(bytes);
    }

    fn note(&mut self, output: Output<()>) {
        match output {
            Output::LookUp { .. } => {
                assert!(!self.has_link(), "never two connections at once");
                self.looked_up = (!self.is_resolver_silent).then_some(self.addresses);
            }
            Output::LeaveLookUp => assert!(self.is_resolver_silent),
            Output::Connect { attempt, server, address } => {
                assert!(!self.has_link(), "never two connections at once");
                self.link = RigLink::Opening;
                self.attempts.push(attempt);
                self.connects.push((server, address));
                assert!(self.attempts.len() <= 8, "attempts do not pile up");
            }
            Output::GiveUp(attempt) => {
                let before = self.attempts.len();
                self.attempts.retain(|under_way| *under_way != attempt);
                assert_eq!(self.attempts.len(), before - 1, "it was under way");
                self.note_attempts();
            }
            Output::AskMode { server } => {
                assert_eq!(self.link, RigLink::Live, "only a read-only server is left for another one");
                self.asked.push((self.now, server));
            }
            Output::Disconnect(cause) => {
                if let DisconnectCause::Login(reason) = cause {
                    self.refused = Some(reason);
                }
                assert!(self.has_link(), "there is something to drop");
                self.drop_link();
            }
            Output::Complete { call: Call { id: CallId(id), .. }, result, watching } => {
                assert!(self.completed.insert(id, result).is_none(), "call {id} completes once");
                assert!(!watching || self.watching.contains_key(&id));
                if !watching {
                    self.watching.remove(&id);
                }
            }
            Output::Watch { id: CallId(id), outcome } => {
                let watched = self.watching.remove(&id);
                assert!(
                    watched.is_some_and(|(kind, _)| !kind.is_lasting()),
                    "watch {id} was set and is told once"
                );
                self.fired.insert(id, outcome);
            }
            Output::Event { id: CallId(id), event } => self.note_update(id, Some(event)),
            Output::Missed { id: CallId(id) } => self.note_update(id, None),
            Output::State(state, credentials) => {
                let has_session = state.is_connected() || matches!(state, SessionState::Disconnected(_));
                assert_eq!(credentials.is_some(), has_session, "{state:?}");
                assert_ne!(self.states.last(), Some(&state));
                self.states.push(state);
            }
            Output::Closed(result) => self.closed = Some(result),
        }
    }

    fn note_update(&mut self, id: u64, event: Option<WatchedEvent>) {
        assert!(
            self.watching.get(&id).is_some_and(|(kind, _)| kind.is_lasting()),
            "watch {id} is set and stays"
        );
        assert!(self.completed.contains_key(&id), "watch {id} is known to be set");
        self.updates.push((id, event));
    }

    fn receive(&mut self, mut bytes: BytesMut) {
        if bytes.is_empty() {
            return;
        }
        while let Some(mut body) = zk_wire::next_frame(&mut bytes, usize::MAX).unwrap() {
            match self.link {
                RigLink::Open if self.handshake.is_none() => self.handshake = Some(decode_all(body).unwrap()),
                RigLink::Live => {
                    let header = RequestHeader::decode(&mut body, "header").unwrap();
                    if self.received.iter().all(|(header, _)| header.op == OpCode::PING) {
                        self.owed = self.now;
                    }
                    self.received.push_back((header, body));
                }
                link => panic!("sent something at {link:?}"),
            }
        }
        assert!(bytes.is_empty(), "whole frames only");
        self.last_sent = self.now;
    }

    fn drop_link(&mut self) {
        self.link = RigLink::None;
        self.received.clear();
        self.handshake = None;
    }

    /// Lets time pass, with a stop at every deadline of the session.
    pub(super) fn advance(&mut self, millis: u64) {
        let target = self.now + millis;
        while let Some(Millis(due)) = self.session.poll_deadline()
            && due <= target
        {
            self.now = self.now.max(due);
            self.input(Input::Timeout);
            let next = self.session.poll_deadline().map(|at| at.0);
            assert!(next.is_none_or(|next| next > self.now), "what is due is done");
            if self.link == RigLink::Live {
                assert!(self.now - self.last_sent <= TIMEOUT / 3, "pings come often enough");
                let is_owed = self.received.iter().any(|(header, _)| header.op != OpCode::PING);
                assert!(!is_owed || self.now - self.owed < TIMEOUT, "no request waits for ever");
            }
        }
        self.now = target;
    }

    fn has_link(&self) -> bool {
        matches!(self.link, RigLink::Open | RigLink::Live)
    }

    /// Notes the end of an attempt.
    fn note_attempts(&mut self) {
        self.link = if self.attempts.is_empty() { RigLink::None } else { RigLink::Opening };
    }

    /// Lets time pass until there is an attempt to connect.
    pub(super) fn advance_to_connect(&mut self) {
        for _ in 0..100 {
            if self.link == RigLink::Opening {
                return;
            }
            self.advance(100);
        }
        panic!("no connection was asked for");
    }

    /// Opens the connection of the newest attempt, which follows the loss of another one within a short time.
    pub(super) fn accept(&mut self) {
        if self.link == RigLink::None {
            self.advance(100);
        }
        assert_eq!(self.link, RigLink::Opening);
        self.attempts.clear();
        self.link = RigLink::Open;
        self.input(Input::Connected);
    }

    /// Breaks the connection, or refuses the newest attempt.
    pub(super) fn lose(&mut self) {
        if let Some(attempt) = self.attempts.pop() {
            self.note_attempts();
            self.input(Input::NotConnected(attempt));
        } else {
            self.drop_link();
            self.input(Input::Lost);
        }
    }

    /// Answers the handshake.
    pub(super) fn give_session(&mut self, session_id: SessionId) {
        self.give_session_in_mode(session_id, false);
    }

    /// Answers the handshake, as a server in read-only mode or in read-write mode.
    pub(super) fn give_session_in_mode(&mut self, session_id: SessionId, is_read_only: bool) {
        assert_eq!(self.link, RigLink::Open);
        let gone = session_id == SessionId::NONE;
        if !gone {
            self.link = RigLink::Live;
        }
        self.frame(&ConnectResponse {
            protocol_version: 0,
            timeout: if gone { 0 } else { i32::try_from(TIMEOUT).unwrap() },
            session_id,
            password: Some(Bytes::from_static(b"password")),
            read_only: Some(is_read_only),
        });
    }

    /// Reconnects to the same session after a loss.
    pub(super) fn attach_again(&mut self) {
        self.advance_to_connect();
        self.accept();
        self.give_session(SESSION);
    }

    pub(super) fn frame<T: Encode>(&mut self, body: &T) {
        let mut bytes = BytesMut::new();
        body.encode(&mut bytes);
        self.input(Input::Frame(bytes.freeze()));
    }

    /// Answers the oldest request, which must be this operation.
    pub(super) fn answer(&mut self, op: OpCode, zxid: i64, err: ErrorCode) {
        let (header, _) = self.received.pop_front().expect("a request");
        assert_eq!(header.op, op);
        if op != OpCode::PING {
            self.owed = self.now;
        }
        self.frame(&ReplyHeader { xid: header.xid, zxid: Zxid(zxid), err });
    }

    /// Answers the oldest ping, and leaves older requests without an answer.
    pub(super) fn answer_ping(&mut self) {
        let ping = self.received.iter().position(|(header, _)| header.op == OpCode::PING).expect("a ping");
        let (header, _) = self.received.remove(ping).expect("it is there");
        self.frame(&ReplyHeader { xid: header.xid, zxid: Zxid(5), err: ErrorCode::OK });
    }

    pub(super) fn event(&mut self, event: EventType, path: &str) {
        let mut bytes = BytesMut::new();
        ReplyHeader { xid: Xid::NOTIFICATION, zxid: Zxid(-1), err: ErrorCode::OK }.encode(&mut bytes);
        WatchedEvent { event, state: KeeperState::SYNC_CONNECTED, path: path.into() }.encode(&mut bytes);
        self.input(Input::Frame(bytes.freeze()));
    }

    /// Makes a call that may wait for a connection for ten seconds.
    pub(super) fn call(&mut self, id: u64, op: OpCode) {
        self.call_with(id, op, &[], None);
    }

    /// Makes a call that sets a watch.
    pub(super) fn watch(&mut self, id: u64, kind: WatchKind, path: &str) {
        let mut body = BytesMut::new();
        let key = (kind, ByteString::from(path));
        let (path, watch) = (key.1.clone(), true);
        let op = match kind {
            WatchKind::Data => {
                GetData { path, watch }.encode(&mut body);
                GetData::OP
            }
            WatchKind::Exist => {
                Exists { path, watch }.encode(&mut body);
                Exists::OP
            }
            WatchKind::Child => {
                GetChildren2 { path, watch }.encode(&mut body);
                GetChildren2::OP
            }
            WatchKind::Persistent | WatchKind::Recursive => {
                AddWatch { path, mode: i32::from(kind == WatchKind::Recursive) }.encode(&mut body);
                AddWatch::OP
            }
        };
        self.call_with(id, op, &body, Some(key));
    }

    /// Sets a lasting watch, and the server accepts it.
    pub(super) fn set_lasting(&mut self, id: u64, kind: WatchKind, path: &str) {
        self.watch(id, kind, path);
        self.answer(OpCode::ADD_WATCH, 5, ErrorCode::OK);
    }

    /// Drops the handle of a call or watch.
    pub(super) fn forget(&mut self, id: u64) {
        self.watching.remove(&id);
        self.input(Input::Forget(CallId(id)));
    }

    fn call_with(&mut self, id: u64, op: OpCode, body: &[u8], watch: Option<WatchKey>) {
        if let Some(key) = &watch {
            self.watching.insert(id, key.clone());
        }
        let deadline = Millis(self.now + 10_000);
        let call = Call { id: CallId(id), session: None, caller: () };
        self.session.call(Millis(self.now), call, Outgoing { op, body, watch }, deadline);
        self.drain();
    }

    /// Returns the operations that the server has not answered.
    pub(super) fn ops(&self) -> Vec<OpCode> {
        self.received.iter().map(|(header, _)| header.op).collect()
    }

    /// Returns the setWatches among them, of both kinds.
    pub(super) fn set_watches(&self) -> Vec<SetWatches2> {
        let requests = self.received.iter().filter_map(|(header, body)| match header.op {
            OpCode::SET_WATCHES2 => Some(decode_all(body.clone()).unwrap()),
            OpCode::SET_WATCHES => {
                let request: SetWatches = decode_all(body.clone()).unwrap();
                Some(SetWatches2 {
                    relative_zxid: request.relative_zxid,
                    data_watches: request.data_watches,
                    exist_watches: request.exist_watches,
                    child_watches: request.child_watches,
                    persistent_watches: Vec::new(),
                    persistent_recursive_watches: Vec::new(),
                })
            }
            _ => None,
        });
        requests.collect()
    }

    /// Returns the newest request, which must be of this type.
    pub(super) fn newest<R: Request>(&self) -> R {
        let (header, body) = self.received.back().expect("a request");
        assert_eq!(header.op, R::OP);
        decode_all(body.clone()).unwrap()
    }
}
