//! Stories told to a server by bytes, with time that the test moves or with real time.

use std::collections::VecDeque;
use std::fmt::Display;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use zk_mini::Handle;

use crate::raw::{self, CREATE, DELETE, EPHEMERAL, PATIENCE, PING, Raw};
use crate::session_stories::*;

const EXISTS: i32 = 3;
const GET_CHILDREN: i32 = 8;
const CLOSE_SESSION: i32 = -11;

const NO_NODE: i32 = -101;
const NODE_EXISTS: i32 = -110;

/// Time that a real server is given between the end of a session and the news of it, on a busy machine.
pub(crate) const LATENESS: u64 = 1_500;

/// A step of a story is told to a real server only if no session can expire so soon.
const MARGIN: u64 = 60;

/// Time between two looks at a real server.
const LOOK: Duration = Duration::from_millis(25);

/// Server that a story is told to.
#[derive(Clone)]
pub(crate) enum Audience {
    /// zk-mini with a manual clock.
    Mini { zk: Handle, in_memory: bool },
    /// A server with real time.
    Real { addr: SocketAddr, restart: Restart },
}

/// The one restart of a real server that many stories are told to.
#[derive(Clone)]
pub(crate) struct Restart {
    /// Dropped when the story waits for the restart, or has ended.
    pub(crate) arrival: Option<mpsc::Sender<()>>,
    /// Set when the server serves again.
    pub(crate) is_over: watch::Receiver<bool>,
}

/// End of a story.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Told {
    /// All of it was told, and was as the model says.
    ToTheEnd,
    /// This machine was too slow at a moment in which a session could expire.
    GivenUp,
}

/// Connection of a client, with the frames that it has received and that have not been compared yet.
struct Conn {
    raw: Raw,
    inbox: VecDeque<Vec<u8>>,
}

/// Teller of one story.
struct Teller {
    audience: Audience,
    tick: u64,
    /// Node that all nodes of the story are below.
    home: String,
    start: Instant,
    /// Time of a manual clock.
    moved: u64,
    model: Model,
    /// Client that never expires. It watches one node of each session, outside of the story.
    observer: Raw,
    /// Answer to the observer's handshake.
    observed: Vec<u8>,
    clients: [Option<Conn>; CLIENTS],
    /// Answers to the handshakes that opened the sessions.
    sessions: Vec<Vec<u8>>,
}

/// Tells a story, and panics where the server does not do what the model says.
pub(crate) async fn tell(story: &Story, audience: Audience, home: &str) -> Told {
    let mut observer = connect(&audience).await;
    let observed = observer.open_session(60_000).await;
    assert_eq!(observer.create(&format!("/{home}"), 0).await.err, 0);
    let lateness = if matches!(audience, Audience::Mini { .. }) { 0 } else { LATENESS };
    let mut teller = Teller {
        audience,
        tick: story.tick,
        home: home.into(),
        start: Instant::now(),
        moved: 0,
        model: Model::new(story, lateness),
        observer,
        observed,
        clients: Default::default(),
        sessions: Vec::new(),
    };
    for step in &story.steps {
        teller.settle().await;
        let before = teller.now();
        if matches!(step, Step::Restart) {
            teller.restart().await;
            teller.compare(step, None).await;
            continue;
        }
        let left = teller.perform(step).await;
        let after = teller.now();
        if teller.is_real() && teller.model.is_in_doubt(after) && !matches!(step, Step::Wait(_)) {
            return Told::GivenUp;
        }
        teller.model.now = Span { from: before, to: after };
        teller.model.perform(step);
        teller.look().await;
        teller.compare(step, step.client().zip(left)).await;
    }
    teller.check_silence().await;
    Told::ToTheEnd
}

impl Teller {
    /// Performs a step, and returns the connection that its client leaves.
    async fn perform(&mut self, step: &Step) -> Option<Conn> {
        match *step {
            Step::Open { client, timeout } => {
                let hello = raw::connect_request(i32::try_from(timeout).unwrap());
                let mut conn = Conn::open(&self.audience, &hello).await;
                let marker = self.marker(self.sessions.len());
                assert_eq!(conn.raw.create(&marker, EPHEMERAL).await.err, 0);
                assert_eq!(self.observer.request(1, EXISTS, &watch_of(&marker)).await.err, 0);
                self.sessions.push(conn.inbox[0].clone());
                // The connection that it had is lost.
                self.clients[client.0] = Some(conn);
                None
            }
            Step::Reattach { client, timeout, right_password } => {
                let session = self.model.last[client.0]?;
                let known = &self.sessions[session];
                let mut hello = vec![0; 12];
                hello.extend(i32::try_from(timeout).unwrap().to_be_bytes());
                hello.extend(&known[8..20]); // session id, length of the password
                hello.extend(if right_password { &known[20..36] } else { &[7; 16] });
                hello.push(0);
                self.clients[client.0].replace(Conn::open(&self.audience, &hello).await)
            }
            Step::Lose(client) => {
                self.clients[client.0] = None;
                None
            }
            Step::Wait(span) => {
                self.wait(span).await;
                None
            }
            Step::Ping(client) => self.request(client, -2, PING, &[]).await,
            Step::Create(client, name) => {
                let create = raw::create(&self.path(name), EPHEMERAL);
                self.request(client, 2, CREATE, &create).await
            }
            Step::Delete(client, name) => {
                let delete = raw::delete(&self.path(name));
                self.request(client, 2, DELETE, &delete).await
            }
            Step::Watch(client, name) => {
                let exists = watch_of(&self.path(name));
                self.request(client, 2, EXISTS, &exists).await
            }
            Step::WatchList(client) => {
                let list = watch_of(&format!("/{}", self.home));
                self.request(client, 2, GET_CHILDREN, &list).await
            }
            Step::Close(client) => self.request(client, 2, CLOSE_SESSION, &[]).await,
            _ => panic!("not to be told by bytes: {step}"),
        }
    }

    /// Lets the server start again.
    async fn restart(&mut self) {
        let before = self.now();
        match &mut self.audience {
            Audience::Mini { zk, .. } => zk.restart().await,
            Audience::Real { restart, .. } => {
                restart.arrival = None;
                restart.is_over.wait_for(|is_over| *is_over).await.expect("the server starts again");
            }
        }
        self.observer = connect(&self.audience).await;
        let hello = raw::resume_request(&self.observed);
        self.observer.send(&hello).await;
        assert_eq!(
            self.observer.receive().await.expect("an answer"),
            self.observed,
            "the observer's session lives"
        );
        for session in 0..self.sessions.len() {
            let is_there = self.observer.request(1, EXISTS, &watch_of(&self.marker(session))).await.err == 0;
            if self.model.sessions[session].is_alive && !is_there {
                // It expired while other stories were told.
                assert!(self.is_real(), "a session is lost");
                self.model.expired(session, Span { from: before, to: self.now() });
            }
        }
        self.model.now = Span { from: before, to: self.now() };
        self.model.perform(&Step::Restart);
        if self.is_real() {
            // A kill loses what was on its way.
            for client in (0..CLIENTS).map(Client) {
                self.model.take_heard(client);
                self.clients[client.0] = None;
            }
        }
    }

    async fn request(&mut self, client: Client, xid: i32, op: i32, body: &[u8]) -> Option<Conn> {
        if let Some(conn) = &mut self.clients[client.0] {
            conn.raw.send(&raw::request(xid, op, body)).await;
            // Events may come before the reply.
            while let Some(frame) = conn.raw.receive().await {
                let is_event = is_event(&frame);
                conn.inbox.push_back(frame);
                if !is_event {
                    break;
                }
            }
        }
        None
    }

    /// Waits until no session can expire soon, so that what comes next has one right outcome. The model complains if
    /// one lives too long.
    async fn settle(&mut self) {
        while self.is_real() && self.model.is_in_doubt(self.now() + MARGIN) {
            tokio::time::sleep(LOOK).await;
            self.look().await;
        }
        self.compare(&"a wait", None).await;
    }

    /// Lets time pass: in short spans, so that the time of each expiry is known.
    async fn wait(&mut self, span: u64) {
        let end = self.now() + span;
        while self.now() < end {
            if let Audience::Mini { zk, .. } = &self.audience {
                let next = ((self.moved / self.tick + 1) * self.tick).min(end);
                zk.advance(Duration::from_millis(next - self.moved)).await;
                self.moved = next;
            } else {
                tokio::time::sleep(LOOK.min(Duration::from_millis(end - self.now()))).await;
            }
            self.look().await;
        }
    }

    /// Takes the ends of sessions that the server has told so far.
    async fn look(&mut self) {
        self.observer.send(&raw::request(-2, PING, &[])).await;
        loop {
            let frame = self.observer.receive().await.expect("the observer's connection lives");
            if frame[..4] == (-2_i32).to_be_bytes() {
                break;
            }
            self.take_end(&frame);
        }
        self.model.now = Span::at(self.now());
        self.model.check_overdue();
    }

    fn take_end(&mut self, frame: &[u8]) {
        let Heard::Deleted(marker) = heard(frame, "/") else { panic!("the observer hears of markers only") };
        let session = marker.rsplit('.').next().and_then(|session| session.parse().ok());
        let session: usize = session.unwrap_or_else(|| panic!("not a marker: {marker}"));
        // A client that closes its session is known to the model.
        if self.model.sessions[session].is_alive {
            self.model.expired(session, Span::at(self.now()));
        }
    }

    /// Compares what each client hears with the model. A client that has `left` a connection for another one first hears
    /// that it is closed.
    async fn compare(&mut self, after: &(dyn Display + Sync), mut left: Option<(Client, Conn)>) {
        for client in (0..CLIENTS).map(Client) {
            let mut expected = in_order(self.model.take_heard(client));
            let mut messages = Vec::new();
            if let Some((_, mut left)) = left.take_if(|(it, _)| *it == client) {
                messages.push(left.next(&self.home).await);
            }
            while messages.len() < expected.len() {
                let conn = self.clients[client.0].take();
                let mut conn = conn
                    .unwrap_or_else(|| panic!("{client} hears no more than {messages:?}, after: {after}"));
                let message = conn.next(&self.home).await;
                self.clients[client.0] = Some(conn).filter(|_| message != Heard::Closed);
                messages.push(message);
                // Apache ZooKeeper closes the connection of an expired session without waiting until the events of
                // the session's own nodes are written.
                if self.is_real()
                    && messages.last() == Some(&Heard::Closed)
                    && self.clients[client.0].is_none()
                {
                    expected.retain(|message| !message.is_event() || messages.contains(message));
                }
            }
            assert_eq!(in_order(messages), expected, "{client} hears, after: {after}");
        }
    }

    /// Checks that no client hears more than the model says.
    async fn check_silence(&mut self) {
        for client in (0..CLIENTS).map(Client) {
            if let Some(mut conn) = self.clients[client.0].take() {
                conn.raw.send(&raw::request(-2, PING, &[])).await;
                match conn.next(&self.home).await {
                    Heard::Done => {}
                    // It may have expired meanwhile.
                    Heard::Closed if self.is_real() => {}
                    other => panic!("{client} hears more: {other:?}"),
                }
            }
        }
    }

    /// Returns the node that shows the observer whether a session is alive.
    fn marker(&self, session: usize) -> String {
        format!("/{}.{session}", self.home)
    }

    fn path(&self, name: &str) -> String {
        format!("/{}/{name}", self.home)
    }

    fn now(&self) -> u64 {
        if self.is_real() { u64::try_from(self.start.elapsed().as_millis()).unwrap() } else { self.moved }
    }

    fn is_real(&self) -> bool {
        matches!(self.audience, Audience::Real { .. })
    }
}

impl Conn {
    async fn open(audience: &Audience, hello: &[u8]) -> Self {
        let mut raw = connect(audience).await;
        raw.send(hello).await;
        let answer = raw.receive().await.expect("an answer to the handshake");
        Self { raw, inbox: [answer].into() }
    }

    /// Returns the next message.
    async fn next(&mut self, home: &str) -> Heard {
        let frame = match self.inbox.pop_front() {
            Some(frame) => Some(frame),
            None => self.raw.receive().await,
        };
        frame.map_or(Heard::Closed, |frame| heard(&frame, &format!("/{home}/")))
    }
}

async fn connect(audience: &Audience) -> Raw {
    match audience {
        Audience::Mini { zk, in_memory: true } => Raw { stream: Box::new(zk.connect()) },
        Audience::Mini { zk, .. } => tcp(zk.addr().expect("the server listens")).await,
        Audience::Real { addr, .. } => tcp(*addr).await,
    }
}

async fn tcp(addr: SocketAddr) -> Raw {
    let stream = tokio::time::timeout(PATIENCE, TcpStream::connect(addr)).await;
    let stream = stream.expect("in time").expect("the server listens");
    stream.set_nodelay(true).unwrap();
    Raw { stream: Box::new(stream) }
}

fn watch_of(path: &str) -> Vec<u8> {
    raw::get_data(path, true)
}

/// Decodes the answer to a handshake, a reply or an event.
fn heard(frame: &[u8], home: &str) -> Heard {
    let int = |at: usize| i32::from_be_bytes(frame[at..at + 4].try_into().unwrap());
    // The answer to a handshake has a fixed length, and begins with the protocol version 0.
    if frame.len() == 37 && int(0) == 0 {
        let is_refused = frame[8..16] == [0; 8];
        return if is_refused { Heard::Refused } else { Heard::Welcome(u64::try_from(int(4)).unwrap()) };
    }
    if !is_event(frame) {
        return match int(12) {
            0 => Heard::Done,
            NO_NODE => Heard::NoNode,
            NODE_EXISTS => Heard::Exists,
            other => panic!("an answer that no step causes: {other}"),
        };
    }
    let path = std::str::from_utf8(&frame[28..]).unwrap();
    let name = || path.strip_prefix(home).unwrap_or_else(|| panic!("{path} is not of this story")).to_owned();
    match int(16) {
        1 => Heard::Created(name()),
        2 => Heard::Deleted(name()),
        4 => Heard::ListChanged,
        other => panic!("an event that no step causes: {other}"),
    }
}

fn is_event(frame: &[u8]) -> bool {
    frame.starts_with(&(-1_i32).to_be_bytes())
}
