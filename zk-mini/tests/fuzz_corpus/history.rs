//! Bytes as the history of a server: connections open and close, requests arrive, time passes.
//!
//! Every byte string is a history, and a small change of the bytes is a small change of the history, so that a fuzzer
//! makes progress. Most requests are well formed, with arguments that collide; the others are arbitrary bytes.

use std::collections::BTreeSet;

use bytes::{BufMut, Bytes, BytesMut};
use zk_mini::core::{Compat, Config, ConnId, Core, Input, Now, Output, Peer, Txn};
use zk_wire::{ConnectRequest, ConnectResponse, Encode, Millis, SessionId, Zxid, decode_all};

use crate::invariants;

/// Operations with the form of their record, see [`Source::field`]; then those without a record.
const OPERATIONS: [(i32, &str); 32] = [
    (1, "pbaf"),
    (15, "pbaf"),
    (19, "pbaf"),
    (21, "pbaft"),
    (2, "pv"),
    (20, "p"),
    (5, "pbv"),
    (7, "pav"),
    (13, "pv"),
    (3, "pz"),
    (4, "pz"),
    (8, "pz"),
    (12, "pz"),
    (6, "p"),
    (9, "p"),
    (103, "p"),
    (104, "p"),
    (106, "pi"),
    (17, "pi"),
    (18, "pi"),
    (101, "lPPP"),
    (105, "lPPPPP"),
    (100, "isb"),
    (102, "b"),
    (107, ""),
    (16, "sssl"),
    (14, "M"),
    (22, "M"),
    (11, ""),
    (-11, ""),
    (-10, "iliilb"),
    (0, ""),
];

const PATHS: [&str; 14] = [
    "/",
    "/a",
    "/a/b",
    "/a/b/c",
    "/b",
    "/a/b-",
    "/zookeeper/quota/a",
    "/zookeeper/quota/a/zookeeper_limits",
    "/zookeeper/quota/a/zookeeper_stats",
    "/zookeeper/config",
    "/a//b",
    "a",
    "/a/",
    "",
];

const WORDS: [&str; 9] = [
    "world",
    "anyone",
    "digest",
    "u:p",
    "auth",
    "ip",
    "127.0.0.1",
    "count=2,bytes=9",
    "count=1,bytes=-1=;byteHardLimit=3",
];

/// Plays a history to a server.
///
/// # Panics
/// The server panics, or an invariant is broken after a step.
pub(crate) fn run(bytes: &[u8]) {
    let mut source = Source { bytes };
    let config = source.config();
    let mut history = History::new(config.clone());
    // Two clients are there from the start, so that a few bytes already make a useful history.
    history.connect(None, &mut source);
    history.connect(None, &mut source);
    while let Some(kind) = source.bytes.first() {
        source.bytes = &source.bytes[1..];
        history.step(*kind, &mut source);
        invariants::check(&history.core);
    }
    // Transactions determine the state: a replay gives the same tree.
    let mut again = Core::new(config);
    for txn in &history.txns {
        again.replay(history.now, txn.clone());
    }
    assert_eq!(invariants::nodes(&again), invariants::nodes(&history.core));
}

struct History {
    core: Core,
    now: Now,
    txns: Vec<Txn>,
    /// Connections that neither end has closed.
    open: BTreeSet<ConnId>,
    last_conn: u64,
    /// Answers to handshakes: sessions that can be resumed.
    sessions: Vec<ConnectResponse>,
}

impl History {
    fn new(config: Config) -> Self {
        Self {
            core: Core::new(config),
            now: Now::default(),
            txns: Vec::new(),
            open: BTreeSet::new(),
            last_conn: 0,
            sessions: Vec::new(),
        }
    }

    fn step(&mut self, kind: u8, source: &mut Source<'_>) {
        match kind % 64 {
            0 => {
                self.accept();
            }
            1 | 2 => self.connect(None, source),
            3 => {
                let known = self.sessions.get(usize::from(source.byte())).cloned();
                self.connect(known, source);
            }
            4 => {
                let conn = self.connection(source);
                self.open.remove(&conn);
                self.input(Input::Closed { conn });
            }
            5 => self.pass(u64::from(source.byte()) * 20),
            6 => {
                let deadline = self.core.poll_deadline().unwrap_or(self.now.mono);
                self.pass(deadline.since(self.now.mono).0);
                assert_ne!(
                    self.core.poll_deadline(),
                    Some(deadline),
                    "a deadline is dealt with when it is reached"
                );
            }
            7 => {
                let conn = self.connection(source);
                let frame = source.any_bytes();
                self.input(Input::Frame { conn, frame });
            }
            _ => {
                let conn = self.connection(source);
                let frame = source.request();
                self.input(Input::Frame { conn, frame });
            }
        }
    }

    fn accept(&mut self) -> ConnId {
        self.last_conn += 1;
        let conn = ConnId(self.last_conn);
        self.open.insert(conn);
        self.input(Input::Accepted { conn, peer: Peer::LOCAL, listener: None });
        conn
    }

    fn connect(&mut self, known: Option<ConnectResponse>, source: &mut Source<'_>) {
        let conn = self.accept();
        let (session_id, password) =
            known.map_or((SessionId::NONE, None), |known| (known.session_id, known.password));
        let request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: Zxid(i64::from(source.byte() / 250)),
            timeout: i32::from(source.byte()) * 200,
            session_id,
            password,
            read_only: Some(false),
        };
        let mut frame = BytesMut::new();
        request.encode(&mut frame);
        self.input(Input::Frame { conn, frame: frame.freeze() });
    }

    /// Returns an open connection, or rarely any earlier one.
    fn connection(&self, source: &mut Source<'_>) -> ConnId {
        let byte = source.byte();
        let open = self.open.iter().nth_back(usize::from(byte) % self.open.len().max(1));
        open.copied().filter(|_| byte < 250).unwrap_or(ConnId(u64::from(byte % 4)))
    }

    fn pass(&mut self, span: u64) {
        self.now.mono = self.now.mono + Millis(span);
        self.now.wall.0 = self.now.wall.0.saturating_add_unsigned(span);
        self.input(Input::Timeout);
    }

    fn input(&mut self, input: Input) {
        self.core.handle(self.now, input);
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Persist(txn) => {
                    assert!(self.txns.last().is_none_or(|last| last.zxid < txn.zxid), "zxids go up");
                    self.txns.push(txn);
                }
                Output::Send { conn, frame } => {
                    assert!(self.open.contains(&conn), "nothing is sent to a closed connection");
                    let body = frame.slice(4..);
                    let length = frame.first_chunk().map(|head| u32::from_be_bytes(*head));
                    assert_eq!(length.map(usize::try_from), Some(Ok(body.len())), "a whole frame");
                    // A reply may look like such an answer. Then the server refuses the session.
                    if let Ok(response) = decode_all::<ConnectResponse>(body) {
                        self.sessions.push(response);
                    }
                }
                Output::Expired { .. }
                | Output::Note(_)
                | Output::Audit(_)
                | Output::Listen { .. }
                | Output::Pause { .. }
                | Output::Resume { .. } => {}
                Output::Close { conn } => assert!(self.open.remove(&conn), "a connection is closed once"),
            }
        }
    }
}

/// Rest of the bytes; zeros after its end.
struct Source<'a> {
    bytes: &'a [u8],
}

impl Source<'_> {
    fn byte(&mut self) -> u8 {
        let Some((&byte, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        byte
    }

    /// Returns an operation. The first half, which reads or changes nodes, is chosen twice as often.
    fn operation(&mut self) -> (i32, &'static str) {
        let choice = usize::from(self.byte()) % (OPERATIONS.len() * 3 / 2);
        OPERATIONS[choice % OPERATIONS.len()]
    }

    fn any_bytes(&mut self) -> Bytes {
        let length = usize::from(self.byte() % 32).min(self.bytes.len());
        let (taken, rest) = self.bytes.split_at(length);
        self.bytes = rest;
        Bytes::copy_from_slice(taken)
    }

    fn config(&mut self) -> Config {
        let bits = self.byte();
        let is_set = |bit: u32| bits & (1 << bit) != 0;
        Config {
            compat: if is_set(0) { Compat::V3_8 } else { Compat::V3_9 },
            extended_types: is_set(1),
            enforce_quota: is_set(2),
            skip_acl: is_set(3),
            reconfig_enabled: is_set(4),
            ..Config::default()
        }
    }

    /// Returns the body of a frame, usually a whole request.
    fn request(&mut self) -> Bytes {
        let (op, form) = self.operation();
        let mut frame = BytesMut::new();
        frame.put_i32(i32::from(self.byte()));
        frame.put_i32(op);
        self.record(form, &mut frame);
        match self.byte() {
            // Too short or too long.
            252..=253 => frame.truncate(usize::from(self.byte())),
            254..=255 => frame.extend_from_slice(&self.any_bytes()),
            _ => {}
        }
        frame.freeze()
    }

    fn record(&mut self, form: &str, out: &mut BytesMut) {
        for field in form.chars() {
            self.field(field, out);
        }
    }

    fn field(&mut self, form: char, out: &mut BytesMut) {
        match form {
            'p' => self.text(&PATHS, out),
            's' => self.text(&WORDS, out),
            'b' => match self.byte() {
                255 => out.put_i32(-1),
                byte if byte % 2 == 0 => self.text(&WORDS, out),
                _ => put_bytes(out, &self.any_bytes()),
            },
            'z' => out.put_u8(self.byte() % 2),
            'f' | 'i' => out.put_i32(i32::from(self.byte() % 16) - 1),
            'v' => out.put_i32((i32::from(self.byte() % 8) - 4).max(-1)),
            'l' => out.put_i64(i64::from(self.byte())),
            't' => out.put_i64(i64::from(self.byte()) * 1_000 - 1_000),
            'a' => self.several(out, "iss"),
            'P' => self.several(out, "p"),
            'M' => {
                for _ in 0..self.byte() % 5 {
                    let (op, form) = self.operation();
                    put_multi_header(out, op, false);
                    // No multi in a multi: the bytes decide on the depth, and the stack is finite.
                    self.record(if form == "M" { "" } else { form }, out);
                }
                put_multi_header(out, -1, true);
            }
            _ => {}
        }
    }

    /// Writes a vector of records. ACLs are usually open to the world.
    fn several(&mut self, out: &mut BytesMut, form: &str) {
        match self.byte() {
            254 => out.put_i32(i32::MAX),
            255 => out.put_i32(-1),
            byte if form.starts_with('i') && byte < 160 => {
                out.put_i32(1);
                out.put_i32(31);
                put_bytes(out, b"world");
                put_bytes(out, b"anyone");
            }
            byte => {
                let count = byte % 4;
                out.put_i32(i32::from(count));
                for _ in 0..count {
                    self.record(form, out);
                }
            }
        }
    }

    fn text(&mut self, from: &[&str], out: &mut BytesMut) {
        match self.byte() {
            255 => out.put_i32(-1),
            254 => put_bytes(out, &self.any_bytes()),
            // The first few are chosen more often, so that they collide.
            byte if byte >= 32 => put_bytes(out, from[usize::from(byte) % 5].as_bytes()),
            byte => put_bytes(out, from[usize::from(byte) % from.len()].as_bytes()),
        }
    }
}

fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    out.put_i32(i32::try_from(bytes.len()).expect("a few bytes, or a constant"));
    out.extend_from_slice(bytes);
}

fn put_multi_header(out: &mut BytesMut, op: i32, done: bool) {
    out.put_i32(op);
    out.put_u8(u8::from(done));
    out.put_i32(-1);
}
