//! Server, clients and clock of the playground. The clock stands still until the reader moves it.

use bytes::{Buf, Bytes};
use serde_json::{Value, json};
use zk_mini::core::{Config, Core, Input, Now, Output, Peer, WatchKind};
use zk_wire::{
    CloseSession, ConnectResponse, Decode, ErrorCode, Millis, ReplyHeader, Request, SessionId, UnixMillis,
    WatchedEvent, Xid, decode_all,
};

use crate::client::{Client, Life, connect, ping};

/// Length of the length field before a frame.
const LENGTH: usize = 4;
/// Maximum number of clients, open or not: the page lists them all.
const MAX_CLIENTS: usize = 20;
/// Entries that the history keeps for the explanations.
const HISTORY: usize = 2_000;

/// Everything that the reader plays with.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) core: Core,
    begin: UnixMillis,
    mono: Millis,
    clients: Vec<Client>,
    /// Answers and events that clients saw since the last command, oldest first.
    seen: Vec<Value>,
    /// Reply to the request that is being carried out.
    reply: Option<(ReplyHeader, Bytes)>,
}

impl World {
    pub(crate) fn new(begin: UnixMillis) -> Self {
        Self {
            core: Core::new(Config { history: HISTORY, transactions: false, ..Config::default() }),
            begin,
            mono: Millis(0),
            clients: Vec::new(),
            seen: Vec::new(),
            reply: None,
        }
    }

    fn now(&self) -> Now {
        let passed = i64::try_from(self.mono.0).unwrap_or(i64::MAX);
        Now { mono: self.mono, wall: UnixMillis(self.begin.0.saturating_add(passed)) }
    }

    /// Opens a session for a new client, which pings or is silent.
    pub(crate) fn open(&mut self, timeout: i32, pings: bool) -> Result<(), String> {
        if self.clients.len() >= MAX_CLIENTS {
            return Err(format!("there are {MAX_CLIENTS} sessions: begin again"));
        }
        let client = Client::new(self.clients.len() as u64 + 1);
        let (number, conn) = (client.number, client.conn());
        self.clients.push(client);
        self.input(Input::Accepted { conn, peer: Peer::LOCAL, listener: None });
        self.input(Input::Frame { conn, frame: connect(timeout) });
        self.set_pings(number, pings)
    }

    /// Lets a client ping from now on, or be silent.
    pub(crate) fn set_pings(&mut self, number: u64, pings: bool) -> Result<(), String> {
        let now = self.mono;
        let client = self.open_client(number)?;
        client.next_ping = pings.then(|| Millis(now.0.saturating_add(client.ping_interval().0)));
        if pings {
            let conn = client.conn();
            self.input(Input::Frame { conn, frame: ping() });
        }
        Ok(())
    }

    /// Sends a request, and returns its answer.
    pub(crate) fn ask<R: Request>(&mut self, number: u64, request: &R) -> Result<R::Response, ErrorCode> {
        let Ok(client) = self.open_client(number) else { return Err(ErrorCode::SESSION_EXPIRED) };
        let (conn, frame) = (client.conn(), client.request(request));
        self.reply = None;
        self.input(Input::Frame { conn, frame });
        let (header, body) = self.reply.take().ok_or(ErrorCode::CONNECTION_LOSS)?;
        header.err.into_result()?;
        decode_all(body).map_err(|_| ErrorCode::MARSHALLING_ERROR)
    }

    /// Closes the session of a client.
    pub(crate) fn close(&mut self, number: u64) -> Result<(), String> {
        self.open_client(number)?.life = Life::Closed;
        let client = self.client(number)?;
        let (conn, frame) = (client.conn(), client.request(&CloseSession {}));
        self.input(Input::Frame { conn, frame });
        self.see(number, "closed", json!({}));
        Ok(())
    }

    /// Lets the session of a client expire now.
    pub(crate) fn expire(&mut self, number: u64) -> Result<(), String> {
        let session = self.open_client(number)?.session;
        self.input(Input::Expire { session });
        Ok(())
    }

    /// Moves the clock. What is due on the way happens in its order: pings first, as the server handles what has
    /// arrived before anything expires.
    pub(crate) fn advance(&mut self, by: Millis) {
        let end = Millis(self.mono.0.saturating_add(by.0));
        loop {
            let pings = self.clients.iter().filter_map(|client| client.next_ping).min();
            let due = pings.into_iter().chain(self.core.poll_deadline()).min();
            let Some(due) = due.filter(|due| *due <= end) else { break };
            self.mono = self.mono.max(due);
            self.ping();
            self.input(Input::Timeout);
        }
        self.mono = end;
    }

    /// Sends the pings that are due.
    fn ping(&mut self) {
        for index in 0..self.clients.len() {
            let now = self.mono;
            let client = &mut self.clients[index];
            if client.next_ping.is_some_and(|due| due <= now) {
                client.next_ping = Some(Millis(now.0.saturating_add(client.ping_interval().0)));
                let conn = client.conn();
                self.input(Input::Frame { conn, frame: ping() });
            }
        }
    }

    fn client(&mut self, number: u64) -> Result<&mut Client, String> {
        let client = self.clients.iter_mut().find(|client| client.number == number);
        client.ok_or_else(|| format!("there is no session {number}"))
    }

    fn open_client(&mut self, number: u64) -> Result<&mut Client, String> {
        match self.client(number)? {
            client if client.life == Life::Open => Ok(client),
            _ => Err(format!("session {number} has ended: open another one")),
        }
    }

    fn input(&mut self, input: Input) {
        self.core.handle(self.now(), input);
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Send { conn, mut frame } => {
                    frame.advance(LENGTH.min(frame.len()));
                    self.arrived(conn.0, frame);
                }
                Output::Expired { session } => self.expired(session),
                Output::Persist(_)
                | Output::Note(_)
                | Output::Audit(_)
                | Output::Listen { .. }
                | Output::Pause { .. }
                | Output::Resume { .. }
                | Output::Close { .. } => {}
            }
        }
    }

    fn expired(&mut self, session: SessionId) {
        let of_session = |client: &&mut Client| client.session == session && client.life == Life::Open;
        let Some(client) = self.clients.iter_mut().find(of_session) else { return };
        (client.life, client.next_ping) = (Life::Expired, None);
        let number = client.number;
        self.see(number, "expired", json!({}));
    }

    /// Handles a frame for a client.
    fn arrived(&mut self, number: u64, mut frame: Bytes) {
        let Ok(client) = self.client(number) else { return };
        if client.session == SessionId::NONE {
            if let Ok(opened) = decode_all::<ConnectResponse>(frame) {
                client.session = opened.session_id;
                client.timeout = Millis(u64::try_from(opened.timeout).unwrap_or(0));
                let timeout = client.timeout.0;
                self.see(number, "opened", json!({ "timeout": timeout }));
            }
            return;
        }
        let Ok(header) = ReplyHeader::decode(&mut frame, "header") else { return };
        match header.xid {
            Xid::PING => {}
            Xid::NOTIFICATION => {
                if let Ok(event) = decode_all::<WatchedEvent>(frame) {
                    self.see(
                        number,
                        "event",
                        json!({ "event": event.event.to_string(), "path": &*event.path }),
                    );
                }
            }
            _ => self.reply = Some((header, frame)),
        }
    }

    /// Notes what a client has seen or done.
    pub(crate) fn see(&mut self, number: u64, kind: &str, mut what: Value) {
        what["time"] = self.mono.0.into();
        what["client"] = number.into();
        what["kind"] = kind.into();
        self.seen.push(what);
    }

    /// Returns what clients saw since the last call.
    pub(crate) fn take_seen(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.seen)
    }

    /// Returns the state, for the page.
    pub(crate) fn state(&self) -> Value {
        let mut nodes = Vec::new();
        self.list("/", &mut nodes);
        json!({
            "time": self.mono.0,
            "is_full": self.clients.len() >= MAX_CLIENTS,
            "nodes": nodes,
            "clients": self.clients.iter().map(|client| self.client_state(client)).collect::<Vec<_>>(),
        })
    }

    fn client_state(&self, client: &Client) -> Value {
        let alive = self.core.session(client.session);
        let expires = alive.as_ref().map(|session| session.expires.0);
        let ephemerals = alive.map(|session| session.ephemerals).unwrap_or_default();
        let watches = self.core.watches().into_iter().filter(|watch| watch.conn == client.conn());
        let watches = watches.map(|watch| {
            json!({ "path": &*watch.path, "kind": if watch.kind == WatchKind::Children { "children" } else { "data" } })
        });
        json!({
            "client": client.number,
            "session": client.session.to_string(),
            "life": client.life.name(),
            "timeout": client.timeout.0,
            "expires": expires,
            "pings": client.next_ping.is_some(),
            "ephemerals": ephemerals.iter().map(|path| &**path).collect::<Vec<_>>(),
            "watches": watches.collect::<Vec<_>>(),
        })
    }

    /// Lists a node and those below it, without the system's nodes.
    fn list(&self, path: &str, nodes: &mut Vec<Value>) {
        let mut open = vec![path.to_owned()];
        while let Some(path) = open.pop() {
            let Some(node) = self.core.node(&path) else { continue };
            let owner = self.clients.iter().find(|client| client.session == node.stat.ephemeral_owner);
            nodes.push(json!({
                "path": path,
                "data": String::from_utf8_lossy(node.data.as_deref().unwrap_or_default()),
                "version": node.stat.version.0,
                "owner": owner.map(|client| client.number),
            }));
            let children = self.core.children(&path).unwrap_or_default();
            let paths = children.iter().rev().map(|name| zk_wire::path::join(&path, name));
            open.extend(paths.filter(|path| path != "/zookeeper"));
        }
    }
}
