//! A session on one connection, seen by the client: the hello, calls by id, deadlines, keepalive, going away. No I/O:
//! inputs and the time go in, outputs and bytes come out.
//!
//! # How to drive it
//! - Start calls by [`Session::start`], and give everything else to [`Session::handle`].
//! - Drain [`Session::poll_output`] after each of them, or after a few in a row, and after [`Session::transmit`].
//! - Write the bytes of [`Session::transmit`], note progress by [`Transmission::advance`], and ask for more.
//! - Cut the bytes that arrive into frames by [`next_frame`], and give them as [`Input::Frame`].
//! - Give [`Input::Timeout`] at [`Session::poll_deadline`].
//!
//! [`Session::start`] is no input, because its argument is borrowed and its caller needs the answer at once.
//! [`Session::transmit`] is no output, because bytes pass without a copy.
//!
//! `C` is the owner's handle of a call. Each call ends exactly once: by one [`Output::Complete`], or without an output by
//! [`Input::Cancel`].

mod calls;
mod config;
mod hello;
mod message;
mod silence;
#[cfg(test)]
mod tests;
mod transmission;

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use common::Millis;
use rpc_wire::{
    Budget, CallId, DecodeError, EncodeError, Frame, GoAway, Metadata, MetadataRef, Reply, Request, Status,
};

use calls::Calls;
pub use config::Config;
pub use hello::HelloError;
pub use message::{Answer, Attempt, Ended, Ending, Input, NewCall, Output, Refused};
use silence::{Silence, Verdict};
pub use transmission::{Transmission, next_frame};

/// The client's side of one connection.
#[derive(Debug)]
pub struct Session<C> {
    config: Arc<Config>,
    phase: Phase,
    calls: Calls<C>,
    /// Bytes for the next transmission.
    out: Vec<u8>,
    /// Maximum length of a frame's body for the server.
    server_max: usize,
    /// Bytes that the server takes; `None` while they are not known, and if it speaks version 1.
    server_budget: Option<Budget>,
    last: CallId,
    /// Last call whose request may have left this process.
    transmitted: CallId,
    /// Answer to the last ping. Only one is kept, so pings that come faster than pongs leave cost no memory.
    pong: Option<u64>,
    /// A caller waits for [`Output::Room`].
    crowded: bool,
    outputs: VecDeque<Output<C>>,
}

#[derive(Debug)]
enum Phase {
    /// The server has not answered the hello.
    Greeting {
        until: Millis,
    },
    /// Calls may start.
    Open(Silence),
    /// No new calls; the session ends after the last one.
    Leaving(Silence),
    Closed,
}

impl<C> Session<C> {
    /// Begins a session with the client's hello; the server's must come before `hello_deadline`.
    pub fn new(config: Arc<Config>, hello_deadline: Millis) -> Self {
        let mut session = Self {
            phase: Phase::Greeting { until: hello_deadline },
            calls: Calls::default(),
            out: Vec::new(),
            server_max: usize::MAX,
            server_budget: Some(Budget::default()),
            last: CallId(0),
            transmitted: CallId(0),
            pong: None,
            crowded: false,
            outputs: VecDeque::new(),
            config,
        };
        if let Err(error) = hello::write(&session.config, &mut session.out) {
            session.close(Ending::Hello(error.into()));
        }
        session
    }

    /// Takes an input. Drain [`Session::poll_output`] afterwards.
    pub fn handle(&mut self, now: Millis, input: Input) {
        match (&mut self.phase, input) {
            (Phase::Open(silence) | Phase::Leaving(silence), Input::Frame(body)) => {
                silence.hear();
                if let Err(error) = self.handle_frame(body) {
                    self.close(Ending::Protocol(error));
                }
            }
            (Phase::Closed, _) => {}
            (Phase::Greeting { .. }, Input::Eof) => self.close(Ending::Hello(HelloError::Closed)),
            (Phase::Greeting { .. }, Input::Garbage(error)) => self.close(Ending::Hello(error.into())),
            (Phase::Greeting { .. }, Input::Frame(body)) => self.handle_hello(now, &body),
            (Phase::Greeting { until }, Input::Timeout) if now >= *until => {
                self.close(Ending::Hello(HelloError::Late));
            }
            (Phase::Greeting { .. }, Input::Leave) => self.close(Ending::Left),
            (_, Input::Eof) => self.close(Ending::Lost("the server closed it".into())),
            (_, Input::Failed(reason)) => self.close(Ending::Lost(reason)),
            (_, Input::Garbage(error)) => self.close(Ending::Protocol(error)),
            (_, Input::Cancel(id)) => {
                if self.calls.remove(id).is_some() {
                    self.push(&Frame::Cancel(id));
                }
            }
            (Phase::Greeting { .. }, Input::Heard | Input::Timeout | Input::Probe) => {}
            (Phase::Open(silence) | Phase::Leaving(silence), Input::Heard) => silence.hear(),
            (Phase::Open(_) | Phase::Leaving(_), Input::Timeout) => self.handle_timeout(now),
            (Phase::Open(_) | Phase::Leaving(_), Input::Probe) => self.push(&Frame::Ping(0)),
            (Phase::Open(_) | Phase::Leaving(_), Input::Leave) => self.leave(),
        }
    }

    /// Sends a call, which completes by its deadline at the latest.
    ///
    /// # Errors
    /// The call was not sent, and `call` is dropped. After [`Refused::Full`] an [`Output::Room`] follows.
    pub fn start(&mut self, now: Millis, new: NewCall<'_>, call: C) -> Result<CallId, Refused> {
        let NewCall { method, metadata, payload, deadline } = new;
        if !matches!(self.phase, Phase::Open(_)) {
            return Err(Refused::Closed);
        }
        if !self.out.is_empty() && self.out.len().saturating_add(payload.len()) > self.config.max_queued {
            self.crowded = true;
            return Err(Refused::Full);
        }
        let metadata = self.allowed(metadata)?;
        let id = CallId(self.last.0 + 1);
        let time_left = Some(deadline.since(now).into());
        let request = Request { method, time_left, metadata, payload, ..Request::new(id) };
        Frame::Request(request).encode(&mut self.out, self.server_max)?;
        self.last = id;
        self.calls.insert(id, call, deadline);
        Ok(id)
    }

    /// Returns the metadata that the server takes. One of version 1 takes none: it can do without those of this project, but the
    /// caller's must not get lost.
    fn allowed<'a>(&self, metadata: MetadataRef<'a>) -> Result<MetadataRef<'a>, EncodeError> {
        if self.server_budget.is_some() || metadata.is_empty() {
            return Ok(metadata);
        }
        let all_ours = metadata.iter().all(|(name, _)| Metadata::is_reserved(name));
        if all_ours { Ok(MetadataRef::default()) } else { Err(EncodeError::NoMetadata) }
    }

    /// Returns the next output.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output<C>> {
        self.outputs.pop_front()
    }

    /// Moves all outputs to `outputs`, which must be empty, for an owner that performs them without its lock.
    pub fn poll_outputs(&mut self, outputs: &mut VecDeque<Output<C>>) {
        mem::swap(&mut self.outputs, outputs);
    }

    /// Returns the time at which [`Input::Timeout`] is due.
    #[must_use]
    pub fn poll_deadline(&self) -> Option<Millis> {
        match &self.phase {
            Phase::Greeting { until } => Some(*until),
            Phase::Open(silence) | Phase::Leaving(silence) => {
                let tick = silence.next_tick();
                Some(self.calls.earliest().map_or(tick, |earliest| earliest.min(tick)))
            }
            Phase::Closed => None,
        }
    }

    /// Notes the progress of a transmission. Once it is done, replaces it by the next one, whose calls count as sent from
    /// here on. Drain [`Session::poll_output`] afterwards.
    pub fn transmit(&mut self, last: &mut Transmission) {
        if matches!(self.phase, Phase::Closed) {
            return;
        }
        if last.is_done() {
            last.exchange(&mut self.out);
            self.transmitted = self.last;
            self.give_room();
            if let Some(number) = self.pong.take() {
                // Control frames are shorter than any limit that a server may name.
                let _ = last.append(&Frame::Pong(number), self.server_max);
            }
        }
        if let Phase::Open(silence) | Phase::Leaving(silence) = &mut self.phase {
            silence.look(last);
        }
        if matches!(self.phase, Phase::Leaving(_)) && self.calls.is_empty() && last.is_done() {
            self.close(Ending::Left);
        }
    }

    /// Returns the number of calls that have not ended, for checks of the owner's own count.
    pub fn in_flight(&self) -> usize {
        self.calls.len()
    }

    fn handle_hello(&mut self, now: Millis, body: &[u8]) {
        match hello::read(&self.config, body) {
            Ok(hello::Server { instance, max_frame, budget }) => {
                self.server_max = max_frame;
                self.server_budget = budget;
                self.phase = Phase::Open(Silence::new(now, self.config.keepalive));
                self.outputs.push_back(Output::Greeted { instance });
            }
            Err(error) => self.close(Ending::Hello(error)),
        }
    }

    fn handle_frame(&mut self, mut body: Bytes) -> Result<(), DecodeError> {
        match Frame::decode(&body)? {
            Frame::Reply(Reply::Ok { id, payload, metadata }) => {
                let (head, metadata) = (body.len() - payload.len(), metadata.to_owned());
                // The payload is the end of the frame.
                body.advance(head);
                self.complete(id, Ok(Answer { payload: body, metadata }));
            }
            Frame::Reply(Reply::Failed { id, code, message, details, metadata, not_run }) => {
                let details = (!details.is_empty()).then(|| details.into());
                let status = Status { details, ..Status::new(code, message) };
                let failed = |status| Ended::Failed(status, metadata.to_owned());
                self.complete(id, Err(if not_run { Ended::NotRun(status) } else { failed(status) }));
            }
            Frame::GoAway(go_away) => self.handle_go_away(&go_away),
            Frame::Ping(number) => self.pong = Some(number),
            Frame::Pong(_) => self.outputs.push_back(Output::Alive),
            // Later versions may send more kinds of frames.
            _ => {}
        }
        Ok(())
    }

    fn handle_go_away(&mut self, go_away: &GoAway<'_>) {
        if matches!(self.phase, Phase::Open(_)) {
            // Before the completions, so that no retry of these calls comes here again.
            self.outputs.push_back(Output::GoingAway);
        }
        self.leave();
        let status = Status::new(go_away.code, go_away.message);
        for (_, call) in self.calls.after(go_away.last) {
            self.outputs.push_back(Output::Complete { call, attempt: Err(Ended::NotRun(status.clone())) });
        }
    }

    fn handle_timeout(&mut self, now: Millis) {
        for (id, call) in self.calls.late(now) {
            self.push(&Frame::Cancel(id));
            self.outputs.push_back(Output::Complete { call, attempt: Err(Ended::Late) });
        }
        let (Phase::Open(silence) | Phase::Leaving(silence)) = &mut self.phase else { return };
        match silence.tick(now) {
            Verdict::Fine => {}
            Verdict::Ask => self.push(&Frame::Ping(0)),
            Verdict::Silent => self.close(Ending::Silent),
            Verdict::Unread => self.close(Ending::Unread),
        }
    }

    fn leave(&mut self) {
        if let Phase::Open(silence) = &mut self.phase {
            self.phase = Phase::Leaving(mem::take(silence));
        }
    }

    fn complete(&mut self, id: CallId, attempt: Attempt) {
        // A call that was cancelled or answered before has gone.
        if let Some(call) = self.calls.remove(id) {
            self.outputs.push_back(Output::Complete { call, attempt });
        }
    }

    fn close(&mut self, ending: Ending) {
        self.phase = Phase::Closed;
        let reason: Arc<str> = ending.to_string().into();
        // Before the completions, so that no retry of these calls comes here again.
        self.outputs.push_back(Output::Closed(ending));
        for (id, call) in self.calls.take_all() {
            let ended = if id > self.transmitted { Ended::NotSent } else { Ended::Lost(Arc::clone(&reason)) };
            self.outputs.push_back(Output::Complete { call, attempt: Err(ended) });
        }
        self.give_room();
    }

    fn give_room(&mut self) {
        if mem::take(&mut self.crowded) {
            self.outputs.push_back(Output::Room);
        }
    }

    fn push(&mut self, frame: &Frame<'_>) {
        // Control frames are shorter than any limit that a server may name.
        let _: Result<(), EncodeError> = frame.encode(&mut self.out, self.server_max);
    }
}
