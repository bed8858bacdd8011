//! Both sessions, the two ways between them, and the owners that perform what the sessions say.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use common::Millis;
use rpc_client::session as client;
use rpc_client::session::{Answer, Attempt, Ended, NewCall, Refused, Transmission, next_input};
use rpc_server::session as server;
use rpc_server::session::{Full, Replies, Segment, Turn};
use rpc_server::{Limits, Status};
use rpc_wire::{Budget, CallId, Format, Frame, MetadataRef, Reply};

const MAX_FRAME: usize = 4_096;

/// Behaviour of a handler, named by the method.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Method {
    /// Answers at its first poll.
    Now,
    /// Fails at its first poll.
    Fail,
    /// Waits until it is told to answer.
    Later,
    /// Does not exist.
    Unknown,
}

impl Method {
    fn name(self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::Fail => "fail",
            Self::Later => "later",
            Self::Unknown => "unknown",
        }
    }
}

/// A direction of the connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Way {
    ToServer,
    ToClient,
}

/// Bytes on their way.
#[derive(Debug, Default)]
struct Pipe {
    bytes: VecDeque<u8>,
    /// Nothing follows these bytes.
    is_closed: bool,
}

/// A call of the client.
#[derive(Debug)]
struct Call {
    id: CallId,
    payload: Vec<u8>,
    deadline: Millis,
    is_cancelled: bool,
    attempt: Option<Attempt>,
}

/// The two sides of one connection. Each method is a step of one of the owners, and checks what the sessions say then.
pub(crate) struct World {
    now: Millis,
    client: client::Session<u32, u32>,
    server: server::Session<CallId>,
    transmission: Transmission,
    /// Bytes that have reached the client and are no whole frame yet.
    input: BytesMut,
    batch: VecDeque<u8>,
    to_server: Pipe,
    to_client: Pipe,
    /// A side that closes destroys the bytes that are on their way.
    resets: bool,
    calls: BTreeMap<u32, Call>,
    /// Calls that the server has started.
    ran: BTreeSet<CallId>,
    /// Calls that run on the server.
    tasks: BTreeSet<CallId>,
    /// Calls that have ended, without the session knowing it.
    ended: Replies,
    /// Limit beyond this connection.
    pub(crate) full: Option<Full>,
    /// A caller waits for room.
    waits_for_room: bool,
    client_closed: bool,
    server_closed: bool,
}

impl World {
    pub(crate) fn new(resets: bool) -> Self {
        let config = client::Config {
            service: "test".into(),
            format: Format::JSON,
            max_frame: MAX_FRAME,
            keepalive: Millis(400),
            max_queued: 200,
            budget: Budget::default(),
        };
        let mut limits = Limits::default();
        limits.in_flight_per_connection = 4;
        limits.argument_bytes = 100;
        limits.max_frame = MAX_FRAME;
        limits.hello_timeout = Duration::from_millis(500);
        limits.frame_timeout = Duration::from_millis(300);
        limits.idle_timeout = Duration::from_secs(2);
        limits.write_timeout = Duration::from_millis(300);
        limits.linger = Duration::from_millis(100);
        let shared = server::SessionConfig {
            instance: "a".into(),
            limits,
            methods: server::MethodTable::new([(
                "test".into(),
                ["now", "fail", "later"].map(|name| (name.to_owned(), server::MethodKind::Unary)),
            )]),
            quota: None,
            metrics: Arc::default(),
        };
        Self {
            now: Millis(0),
            client: client::Session::new(Arc::new(config), Millis(1_000)),
            server: server::Session::new(Arc::new(shared), Millis(0)),
            transmission: Transmission::default(),
            input: BytesMut::new(),
            batch: VecDeque::new(),
            to_server: Pipe::default(),
            to_client: Pipe::default(),
            resets,
            calls: BTreeMap::new(),
            ran: BTreeSet::new(),
            tasks: BTreeSet::new(),
            ended: Replies::default(),
            full: None,
            waits_for_room: false,
            client_closed: false,
            server_closed: false,
        }
    }

    pub(crate) fn start(&mut self, method: Method, len: usize, time_left: Millis) {
        let (number, payload) = (self.calls.len() as u32, vec![b'x'; len]);
        let deadline = self.now + time_left;
        let call =
            NewCall { method: method.name(), metadata: MetadataRef::default(), payload: &payload, deadline };
        match self.client.start(self.now, call, number) {
            Ok(id) => {
                let call = Call { id, payload, deadline, is_cancelled: false, attempt: None };
                self.calls.insert(number, call);
            }
            Err(Refused::Full) => self.waits_for_room = true,
            Err(Refused::Closed) => {}
            Err(Refused::Argument(error)) => panic!("{error}"),
            Err(Refused::NoStreams) => panic!("no stream was opened"),
        }
        self.drain_client();
    }

    /// The caller of one of the calls goes away.
    pub(crate) fn cancel(&mut self, which: usize) {
        let Some(number) = pick(self.calls.keys(), which) else { return };
        if let Some(call) = self.calls.get_mut(&number) {
            call.is_cancelled |= call.attempt.is_none();
            let id = call.id;
            self.tell_client(client::Input::Cancel(id));
        }
    }

    pub(crate) fn tell_client(&mut self, input: client::Input) {
        self.client.handle(self.now, input);
        self.drain_client();
    }

    pub(crate) fn tell_server(&mut self, input: server::Input<CallId>) {
        self.server.handle(self.now, input);
        self.drain_server();
    }

    pub(crate) fn turn(&mut self) {
        if self.server.wants_turn() {
            self.tell_server(server::Input::Turn(Turn { full: self.full }));
        }
    }

    /// One of the waiting handlers answers; the session does not know that yet.
    pub(crate) fn finish(&mut self, which: usize) {
        let Some(id) = pick(self.tasks.iter(), which) else { return };
        self.tasks.remove(&id);
        let before = self.ended.frames.len();
        Frame::Reply(Reply::ok(id, b"later")).encode(&mut self.ended.frames, MAX_FRAME).unwrap();
        let len = self.ended.frames.len() - before;
        self.ended.segments.push(Segment { id, len, is_end: true });
    }

    /// The server's session takes the replies of handlers that have answered.
    pub(crate) fn collect(&mut self) {
        let replies = std::mem::take(&mut self.ended);
        self.tell_server(server::Input::Replies(replies));
    }

    /// A side writes up to `n` bytes.
    pub(crate) fn write(&mut self, way: Way, n: usize) {
        match way {
            Way::ToServer => {
                self.client.transmit(&mut self.transmission);
                self.drain_client();
                let rest = self.transmission.rest();
                let n = n.min(rest.len());
                if n > 0 && !self.client_closed {
                    self.to_server.bytes.extend(&rest[..n]);
                    self.transmission.advance(n);
                }
            }
            Way::ToClient => {
                if self.batch.is_empty() {
                    self.batch.extend(self.server.transmit().unwrap_or_default());
                }
                if !self.batch.is_empty() {
                    let n = n.min(self.batch.len());
                    self.to_client.bytes.extend(self.batch.drain(..n));
                    self.tell_server(server::Input::Wrote(n));
                }
            }
        }
    }

    /// Up to `n` bytes reach a side, or the end of the bytes does.
    pub(crate) fn deliver(&mut self, way: Way, n: usize) {
        match way {
            Way::ToServer if self.server_closed || !self.server.wants_bytes() => {}
            Way::ToServer => {
                let pipe = &mut self.to_server;
                let n = n.min(pipe.bytes.len());
                if n > 0 {
                    self.server.read_buffer().extend(pipe.bytes.drain(..n));
                    self.tell_server(server::Input::Received);
                } else if pipe.bytes.is_empty() && pipe.is_closed {
                    self.tell_server(server::Input::Closed);
                }
            }
            Way::ToClient if self.client_closed => {}
            Way::ToClient => {
                let pipe = &mut self.to_client;
                let n = n.min(pipe.bytes.len());
                if n == 0 {
                    if pipe.bytes.is_empty() && pipe.is_closed {
                        self.tell_client(client::Input::Eof);
                    }
                    return;
                }
                self.input.extend(pipe.bytes.drain(..n));
                self.tell_client(client::Input::Heard);
                while let Some(input) = next_input(&mut self.input, MAX_FRAME).unwrap() {
                    self.tell_client(input);
                }
            }
        }
    }

    /// The network breaks; both sides notice it.
    pub(crate) fn lose(&mut self) {
        (self.to_server, self.to_client) = <(Pipe, Pipe)>::default();
        self.tell_client(client::Input::Failed("reset".into()));
        self.tell_server(server::Input::Closed);
    }

    /// Time passes, and both sides have their timeouts.
    pub(crate) fn advance(&mut self, span: Millis) {
        let until = self.now + span;
        loop {
            let (client, server) = (self.client.poll_deadline(), self.server.poll_deadline());
            let Some(next) = client.into_iter().chain(server).min().filter(|next| *next <= until) else {
                break;
            };
            self.now = self.now.max(next);
            if client.is_some_and(|at| at <= self.now) {
                self.tell_client(client::Input::Timeout);
                assert!(self.client.poll_deadline().is_none_or(|at| at > self.now), "a loop of timeouts");
            }
            if server.is_some_and(|at| at <= self.now) {
                self.tell_server(server::Input::Timeout);
                assert!(self.server.poll_deadline().is_none_or(|at| at > self.now), "a loop of timeouts");
            }
        }
        self.now = until;
        for call in self.calls.values().filter(|call| !call.is_cancelled) {
            assert!(
                call.attempt.is_some() || call.deadline > self.now,
                "{call:?} is not late at {:?}",
                self.now
            );
        }
    }

    /// Lets everything happen that can happen without time.
    pub(crate) fn settle(&mut self) {
        self.full = None;
        self.pass_all();
        for id in &self.tasks {
            let waits = |call: &Call| call.id == *id && !call.is_cancelled && call.attempt.is_none();
            assert!(self.calls.values().any(waits), "{id} has ended and still runs");
        }
        while !self.tasks.is_empty() {
            self.finish(0);
        }
        self.collect();
        self.pass_all();
    }

    /// Moves all bytes, and what comes of them. A reply, or the end of the connection, is a few rounds away at most.
    fn pass_all(&mut self) {
        for _ in 0..10 {
            for way in [Way::ToServer, Way::ToClient] {
                self.write(way, usize::MAX);
                self.deliver(way, usize::MAX);
                // The end of the bytes, if there is one.
                self.deliver(way, usize::MAX);
            }
            while self.server.wants_turn() {
                self.turn();
            }
        }
    }

    /// Checks that nothing is left in flight on either side.
    pub(crate) fn check_settled(&self) {
        assert_eq!(self.client.in_flight(), 0);
        for call in self.calls.values() {
            assert!(call.is_cancelled != call.attempt.is_some(), "{call:?} has not ended exactly once");
            let never_ran = matches!(call.attempt, Some(Err(Ended::NotSent | Ended::NotRun(_))));
            assert!(!never_ran || !self.ran.contains(&call.id), "{call:?} was run");
        }
        assert!(self.tasks.is_empty() && self.ended.is_empty());
        assert!(self.server_closed || self.server.idle_since().is_some());
        assert!(!self.waits_for_room, "no room though nothing waits");
    }

    /// Checks that both sides have ended.
    pub(crate) fn check_closed(&self) {
        assert!(self.client_closed && self.server_closed);
        assert_eq!((self.client.poll_deadline(), self.server.poll_deadline()), (None, None));
    }

    fn drain_client(&mut self) {
        while let Some(output) = self.client.poll_output() {
            match output {
                client::Output::Complete { call, attempt } => self.complete(call, attempt),
                client::Output::Closed(_) => {
                    assert!(!std::mem::replace(&mut self.client_closed, true), "closed twice");
                    self.to_server.is_closed = true;
                    self.to_client.bytes.clear();
                    if self.resets {
                        self.to_server.bytes.clear();
                    }
                }
                client::Output::Room => self.waits_for_room = false,
                client::Output::Greeted { instance } => assert_eq!(instance, "a"),
                client::Output::GoingAway(_) | client::Output::Alive => {}
                client::Output::Signal(_) => panic!("there are no streams"),
            }
        }
    }

    /// Checks that a call may end in this way.
    fn complete(&mut self, number: u32, attempt: Attempt) {
        let Some(call) = self.calls.get_mut(&number) else { panic!("{number} was never started") };
        assert!(!call.is_cancelled && call.attempt.is_none(), "{call:?} ends again: {attempt:?}");
        let has_run = self.ran.contains(&call.id);
        match &attempt {
            Ok(Answer { payload, .. }) => {
                assert!(has_run, "{call:?}: {attempt:?}");
                assert!(payload == &call.payload || payload == &Bytes::from_static(b"later"));
            }
            Err(Ended::NotSent | Ended::NotRun(_)) => assert!(!has_run, "{call:?}: {attempt:?}"),
            Err(Ended::Late) => assert!(call.deadline <= self.now, "{call:?}: {attempt:?}"),
            Err(Ended::Lost(_)) => assert!(self.client_closed, "{call:?}: {attempt:?}"),
            Err(Ended::Failed(..)) => {}
        }
        call.attempt = Some(attempt);
    }

    fn drain_server(&mut self) {
        while let Some(output) = self.server.poll_output() {
            assert!(!self.server_closed, "an output after the end");
            match output {
                server::Output::Start(server::Start { call: head, method, payload, reply, .. }) => {
                    let id = head.id;
                    assert!(self.ran.insert(id), "{id} runs again");
                    let call = self.calls.values().find(|call| call.id == id);
                    let call = call.unwrap_or_else(|| panic!("{id} was never called"));
                    assert_eq!(call.payload, payload);
                    let told = matches!(call.attempt, Some(Err(Ended::NotSent | Ended::NotRun(_))));
                    assert!(!told, "{call:?} runs after all");
                    // In the order of their names.
                    match ["fail", "later", "now"][method.index()] {
                        "fail" => head.fail(&Status::not_found("no"), reply),
                        "now" => {
                            let answer = Frame::Reply(Reply::ok(id, payload));
                            answer.encode(reply, head.max_reply).unwrap();
                        }
                        _ => assert!(self.tasks.insert(id)),
                    }
                    let task = self.tasks.contains(&id).then_some(id);
                    self.server.handle(self.now, server::Input::Returned { task, turn: None });
                }
                server::Output::Abort { task: id, .. } => {
                    let is_ended = self.ended.segments.iter().any(|ended| ended.id == id);
                    assert!(self.tasks.remove(&id) != is_ended, "{id} is aborted twice");
                }
                server::Output::Messages(_) | server::Output::Sent { .. } => {}
                server::Output::Retire => panic!("there is no quota"),
                server::Output::ShutDown => self.to_client.is_closed = true,
                server::Output::Close(_) => {
                    self.server_closed = true;
                    self.batch.clear();
                    self.to_client.is_closed = true;
                    self.to_server.bytes.clear();
                    if self.resets {
                        self.to_client.bytes.clear();
                    }
                }
            }
        }
    }
}

fn pick<K: Copy>(
    keys: impl ExactSizeIterator<Item = impl std::borrow::Borrow<K>>,
    which: usize,
) -> Option<K> {
    let n = keys.len();
    keys.into_iter().nth(which.checked_rem(n)?).map(|key| *key.borrow())
}
