//! The other side of a session in its tests: a client, handlers and a transport.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use common::Millis;
use rpc_wire::{
    Budget, CallId, Code, Format, Frame, Hello, Reply, Request, VERSION, next_message, split_frame,
};

use super::*;
use crate::limits::Limits;

pub(super) const MAX: usize = 1 << 20;

/// Session with an owner that performs its outputs.
pub(super) struct Driver {
    pub(super) session: Session<CallId>,
    pub(super) now: Millis,
    /// Limit outside of this connection that is reached.
    pub(super) full: Option<Full>,
    /// The transport takes nothing.
    pub(super) is_blocked: bool,
    pub(super) writing: Vec<u8>,
    pub(super) written: Vec<u8>,
    pub(super) started: Vec<CallHead>,
    pub(super) aborted: Vec<(CallId, Code)>,
    /// Messages of the client; `None` for their end.
    pub(super) delivered: Vec<(u64, Option<Vec<u8>>)>,
    pub(super) sent: Vec<(u64, usize)>,
    pub(super) retired: bool,
    pub(super) shut_down: bool,
    pub(super) end: Option<End>,
}

#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    Hello,
    Ok(u64),
    Failed(u64, Code),
    NotRun(u64, Code),
    GoAway(u64, Code),
    Pong(u64),
    Message(u64, Vec<u8>),
    Credit(u64, u32),
}

impl Driver {
    pub(super) fn new(change: impl FnOnce(&mut SessionConfig)) -> Self {
        let mut config = SessionConfig {
            instance: "me".into(),
            limits: Limits::default(),
            methods: MethodTable::new([
                (
                    "demo".into(),
                    vec![
                        ("later".into(), MethodKind::Unary),
                        ("now".into(), MethodKind::Unary),
                        ("talk".into(), MethodKind::BidiStream),
                        ("upload".into(), MethodKind::ClientStream),
                        ("watch".into(), MethodKind::ServerStream),
                    ],
                ),
                ("rpc.health".into(), vec![("watch".into(), MethodKind::ServerStream)]),
            ]),
            quota: None,
            metrics: Arc::default(),
        };
        change(&mut config);
        Self {
            session: Session::new(Arc::new(config), Millis(0)),
            now: Millis(0),
            full: None,
            is_blocked: false,
            writing: Vec::new(),
            written: Vec::new(),
            started: Vec::new(),
            aborted: Vec::new(),
            delivered: Vec::new(),
            sent: Vec::new(),
            retired: false,
            shut_down: false,
            end: None,
        }
    }

    /// Returns a driver whose hello has been exchanged.
    pub(super) fn greeted(change: impl FnOnce(&mut SessionConfig)) -> Self {
        let mut driver = Self::new(change);
        driver.send(&[hello()]);
        assert_eq!(driver.answers(), [Answer::Hello]);
        driver
    }

    pub(super) fn limited(change: impl FnOnce(&mut Limits)) -> Self {
        Self::greeted(|config| change(&mut config.limits))
    }

    pub(super) fn send(&mut self, frames: &[Frame<'_>]) {
        let mut bytes = Vec::new();
        for frame in frames {
            frame.encode(&mut bytes, usize::MAX).unwrap();
        }
        self.receive(&bytes);
    }

    pub(super) fn receive(&mut self, bytes: &[u8]) {
        self.session.read_buffer().extend_from_slice(bytes);
        self.handle(Input::Received);
        self.run();
    }

    pub(super) fn advance(&mut self, millis: u64) {
        self.now = self.now + Millis(millis);
        if self.session.poll_deadline().is_some_and(|at| at <= self.now) {
            self.handle(Input::Timeout);
            self.run();
        }
    }

    /// Ends calls that continued elsewhere, in one batch.
    pub(super) fn end_calls(&mut self, ids: &[u64]) {
        let mut queue = ReplyQueue::new(MAX, Budget::default());
        for &id in ids {
            let mut frame = Vec::new();
            Frame::Reply(Reply::ok(CallId(id), b"0")).encode(&mut frame, MAX).unwrap();
            queue.push(CallId(id), &frame, |_| panic!("there is room"));
        }
        self.handle(Input::Replies(queue.take()));
        self.run();
    }

    pub(super) fn tell(&mut self, input: Input<CallId>) {
        self.handle(input);
        self.run();
    }

    pub(super) fn handle(&mut self, input: Input<CallId>) {
        self.session.handle(self.now, input);
        while let Some(output) = self.session.poll_output() {
            assert!(self.end.is_none(), "nothing follows the end");
            match output {
                Output::Start(Start { call, payload, reply, method, .. }) => {
                    let is_later = method.index() != 1;
                    if !is_later {
                        let reply_frame = Reply::ok(call.id, payload);
                        Frame::Reply(reply_frame).encode(reply, call.max_reply).unwrap();
                    }
                    self.started.push(call);
                    let turn = Some(Turn { full: self.full });
                    let task = is_later.then_some(call.id);
                    self.session.handle(self.now, Input::Returned { task, turn });
                }
                Output::Messages(Delivery { task, messages: None }) => {
                    self.delivered.push((task.0, None));
                    let turn = Some(Turn { full: self.full });
                    self.session.handle(self.now, Input::Delivered { turn });
                }
                Output::Messages(Delivery { task, messages: Some(run) }) => {
                    let (mut rest, before) = (run.frames, self.delivered.len());
                    while let Some((payload, behind)) = next_message(rest) {
                        self.delivered.push((task.0, Some(payload.to_vec())));
                        rest = behind;
                    }
                    assert_eq!((run.id, run.count), (*task, self.delivered.len() - before));
                    let turn = Some(Turn { full: self.full });
                    self.session.handle(self.now, Input::Delivered { turn });
                }
                Output::Sent { id, bytes } => self.sent.push((id.0, bytes)),
                Output::Abort { task, code } => self.aborted.push((task, code)),
                Output::Retire => self.retired = true,
                Output::ShutDown => self.shut_down = true,
                Output::Close(end) => self.end = Some(end),
            }
        }
        assert!(self.session.starting.is_none() && self.session.delivering.is_none(), "nothing is left over");
    }

    /// Lets calls start and writes until neither is possible.
    pub(super) fn run(&mut self) {
        loop {
            while self.session.wants_turn() {
                self.handle(Input::Turn(Turn { full: self.full }));
            }
            if self.writing.is_empty() {
                let Some(batch) = self.session.transmit() else { break };
                self.writing = batch;
            }
            let wrote = if self.is_blocked { 0 } else { self.writing.len() };
            self.written.extend(self.writing.drain(..wrote));
            self.handle(Input::Wrote(wrote));
            if self.is_blocked {
                break;
            }
        }
    }

    pub(super) fn unblock(&mut self) {
        self.is_blocked = false;
        self.run();
    }

    pub(super) fn answers(&mut self) -> Vec<Answer> {
        let written = mem::take(&mut self.written);
        let (mut rest, mut answers) = (&written[..], Vec::new());
        while let Some((body, more)) = split_frame(rest, usize::MAX).unwrap() {
            answers.push(match Frame::decode(body).unwrap() {
                Frame::Hello(_) => Answer::Hello,
                Frame::Reply(Reply::Ok { id, .. }) => Answer::Ok(id.0),
                Frame::Reply(Reply::Failed { id, code, not_run: false, .. }) => Answer::Failed(id.0, code),
                Frame::Reply(Reply::Failed { id, code, not_run: true, .. }) => Answer::NotRun(id.0, code),
                Frame::GoAway(go_away) => Answer::GoAway(go_away.last.0, go_away.code),
                Frame::Pong(number) => Answer::Pong(number),
                Frame::Message(message) => Answer::Message(message.id.0, message.payload.to_vec()),
                Frame::Credit(credit) => Answer::Credit(credit.id.0, credit.bytes),
                other => panic!("a server does not send {other:?}"),
            });
            rest = more;
        }
        answers
    }

    pub(super) fn aborted(&mut self) -> Vec<CallId> {
        let mut aborted: Vec<_> = mem::take(&mut self.aborted).into_iter().map(|(id, _)| id).collect();
        aborted.sort();
        aborted
    }
}

pub(super) fn hello() -> Frame<'static> {
    Frame::Hello(Hello {
        version: VERSION,
        format: Format::JSON,
        max_frame: MAX as u32,
        service: "demo",
        instance: "",
        budget: Some(Budget { stream: 100, connection: 250, calls: 8 << 20 }),
    })
}

pub(super) fn request(id: u64, method: &'static str, time_left: Option<u64>) -> Frame<'static> {
    let time_left = time_left.map(Duration::from_millis);
    Frame::Request(Request { method, time_left, payload: b"12345", ..Request::new(CallId(id)) })
}

pub(super) fn later(id: u64) -> Frame<'static> {
    request(id, "later", None)
}
