//! A session on one connection, seen by the client: the hello, calls by id, streams and their credit, deadlines, keepalive,
//! going away. No I/O: inputs and the time go in, outputs and bytes come out.
//!
//! # How to drive it
//! - Start calls by [`Session::start`], and give everything else to [`Session::handle`].
//! - Drain [`Session::poll_output`] after each of them, or after a few in a row, and after [`Session::transmit`].
//! - Write the bytes of [`Session::transmit`], note progress by [`Transmission::advance`], and ask for more.
//! - Cut the bytes that arrive into inputs by [`next_input`].
//! - Give [`Input::Timeout`] at [`Session::poll_deadline`].
//!
//! [`Session::start`] is no input, because its argument is borrowed and its caller needs the answer at once.
//! [`Session::transmit`] is no output, because bytes pass without a copy.
//!
//! `C` is the owner's handle of a call. Each call ends exactly once: by one [`Output::Complete`], or without an output by
//! [`Input::Cancel`].
//!
//! # Streams
//! A call with messages is opened by [`Session::open`], and `S` is its owner's handle. Messages go out by [`Session::send`] and
//! [`Session::finish`], and come in by [`Session::receive`], the end of the stream behind the last one. These are no inputs
//! either; what does not go now is told later, by [`Output::Signal`]. [`Session::release`] gives a stream back.
//!
//! The server may send as many bytes as the client's budget has, and more as they are taken from here. So what waits here is
//! bounded, for each stream and for all of them. A slow reader holds up its own stream, and no call.

mod arrival;
mod batch;
mod calls;
mod config;
mod ending;
mod hello;
mod message;
mod outbox;
mod silence;
mod streams;
#[cfg(test)]
mod tests;
mod transmission;

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use common::{Millis, beginning};
use rpc_wire::{CallId, EncodeError, Frame, GoAway, Message, Metadata, MetadataRef, Reply, Request, Status};

pub use arrival::{next_frame, next_input};
pub use batch::Batch;
use calls::Calls;
pub use config::Config;
pub use hello::HelloError;
pub use message::{
    Answer, Attempt, Ended, Ending, Input, NewCall, NewStream, Output, Received, Refused, Signal, Unsent,
    Violation,
};
use outbox::Outbox;
use silence::{Silence, Verdict};
use streams::{Beginning, Streams, given_up};
pub use transmission::Transmission;

/// Number of waiting bytes above which no message joins them, so that no request waits for many messages.
const MESSAGES_AHEAD: usize = 256 << 10;

/// Maximum length of the reason of a server that leaves.
const LONGEST_REASON: usize = 1024;

/// The client's side of one connection.
#[derive(Debug)]
pub struct Session<C, S> {
    config: Arc<Config>,
    phase: Phase,
    calls: Calls<C>,
    streams: Streams<S>,
    /// Frames for the next transmissions.
    outbox: Outbox,
    /// Maximum number of bytes of arguments of unfinished calls.
    max_arguments: usize,
    /// Sum of the lengths of the arguments of streams.
    stream_arguments: usize,
    /// Bytes of arguments for which room is kept, see [`Session::promise`].
    promised: usize,
    /// The server speaks a version that has streams and metadata.
    has_streams: bool,
    last: CallId,
    /// Last call whose request may have left this process.
    transmitted: CallId,
    /// Answer to the last ping. Only one is kept, so pings that come faster than pongs leave cost no memory.
    pong: Option<u64>,
    /// A caller waits for [`Output::Room`].
    crowded: bool,
    /// A caller waits for [`Output::Room`], which comes when another call has ended.
    burdened: bool,
    /// Senders wait until fewer bytes wait.
    messages_wait: bool,
    outputs: VecDeque<Output<C, S>>,
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

impl<C, S: Clone> Session<C, S> {
    /// Begins a session with the client's hello; the server's must come before `hello_deadline`.
    pub fn new(config: Arc<Config>, hello_deadline: Millis) -> Self {
        let mut session = Self {
            phase: Phase::Greeting { until: hello_deadline },
            calls: Calls::default(),
            streams: Streams::new(config.budget),
            outbox: Outbox::default(),
            max_arguments: usize::MAX,
            stream_arguments: 0,
            promised: 0,
            has_streams: false,
            last: CallId(0),
            transmitted: CallId(0),
            pong: None,
            crowded: false,
            burdened: false,
            messages_wait: false,
            outputs: VecDeque::new(),
            config,
        };
        if let Err(error) = hello::write(&session.config, &mut session.outbox) {
            session.close(Ending::Hello(error.into()));
        }
        session
    }

    /// Takes an input. Drain [`Session::poll_output`] afterwards.
    pub fn handle(&mut self, now: Millis, input: Input) {
        match (&mut self.phase, input) {
            (Phase::Open(silence) | Phase::Leaving(silence), Input::Frame(body)) => {
                silence.hear();
                if let Err(ending) = self.handle_frame(body) {
                    self.close(ending);
                }
            }
            (Phase::Open(silence) | Phase::Leaving(silence), Input::Messages { id, frames, last }) => {
                silence.hear();
                if let Err(violation) = self.streams.messages(id, &frames, last) {
                    self.close(violation.into());
                }
                self.give_credit();
            }
            (Phase::Closed, _) => {}
            (Phase::Greeting { .. }, Input::Eof) => self.close(Ending::Hello(HelloError::Closed)),
            (Phase::Greeting { .. }, Input::Garbage(error)) => self.close(Ending::Hello(error.into())),
            (Phase::Greeting { .. }, Input::Frame(body)) => self.handle_hello(now, &body),
            (Phase::Greeting { .. }, Input::Messages { .. }) => {
                self.close(Ending::Hello(HelloError::NotAHello));
            }
            (Phase::Greeting { until }, Input::Timeout) if now >= *until => {
                self.close(Ending::Hello(HelloError::Late));
            }
            (Phase::Greeting { .. }, Input::Leave) => self.close(Ending::Left),
            (_, Input::Eof) => self.close(Ending::Lost("the server closed it".into())),
            (_, Input::Failed(reason)) => self.close(Ending::Lost(reason)),
            (_, Input::Garbage(error)) => self.close(Ending::Protocol(error)),
            (_, Input::Cancel(id)) => {
                if self.calls.remove(id).is_some() {
                    self.cancel(id, false);
                } else {
                    self.close_stream(id, given_up());
                    self.streams.discard(id);
                    self.give_credit();
                }
                self.relieve();
            }
            (Phase::Greeting { .. }, Input::Heard | Input::Timeout | Input::Probe) => {}
            (Phase::Open(silence) | Phase::Leaving(silence), Input::Heard) => silence.hear(),
            (Phase::Open(_) | Phase::Leaving(_), Input::Timeout) => self.handle_timeout(now),
            (Phase::Open(_) | Phase::Leaving(_), Input::Probe) => self.outbox.urgent(&Frame::Ping(0)),
            (Phase::Open(_) | Phase::Leaving(_), Input::Leave) => self.leave(),
        }
        self.pass_signals();
    }

    /// Sends a call, which completes by its deadline at the latest.
    ///
    /// # Errors
    /// The call was not sent, and `call` is dropped. After [`Refused::Full`] an [`Output::Room`] follows.
    pub fn start(&mut self, now: Millis, new: NewCall<'_>, call: C) -> Result<CallId, Refused> {
        let NewCall { method, metadata, payload, deadline } = new;
        let argument = payload.len() + metadata.len();
        let id = self.admit(argument)?;
        let metadata = self.allowed(metadata)?;
        let time_left = Some(deadline.since(now).into());
        let request = Request { method, time_left, metadata, payload, ..Request::new(id) };
        self.outbox.request(id, &Frame::Request(request))?;
        self.last = id;
        self.calls.insert(id, call, deadline, argument);
        Ok(id)
    }

    /// Opens a stream.
    ///
    /// # Errors
    /// As of [`Session::start`]; [`Refused::NoStreams`] for a server of version 1.
    pub fn open(&mut self, now: Millis, new: NewStream<'_>, owner: S) -> Result<CallId, Refused> {
        let NewStream { method, payload, metadata, deadline, sends, receives } = new;
        let argument = payload.len() + metadata.len();
        let id = self.admit(argument)?;
        if !self.has_streams {
            return Err(Refused::NoStreams);
        }
        let time_left = deadline.map(|deadline| deadline.since(now).into());
        let request = Request { id, method, time_left, metadata, more: sends, stream: receives, payload };
        self.outbox.request(id, &Frame::Request(request))?;
        self.last = id;
        self.stream_arguments += argument;
        self.streams.insert(id, Beginning { owner, deadline, argument, sends, receives });
        Ok(id)
    }

    /// Sends a message of a stream.
    ///
    /// # Errors
    /// The message was not sent. After [`Unsent::Full`] a [`Signal::Writable`] follows.
    pub fn send(&mut self, id: CallId, payload: &[u8]) -> Result<(), Unsent> {
        let has_room = self.outbox.len() < MESSAGES_AHEAD.min(self.config.max_queued);
        match self.streams.may_send(id, has_room) {
            Some(true) => {}
            Some(false) => {
                self.messages_wait |= !has_room;
                return Err(Unsent::Full);
            }
            None => return Err(Unsent::Ended(self.streams.end(id).unwrap_or_else(given_up))),
        }
        self.outbox.append(&Frame::Message(Message { id, payload })).map_err(Unsent::Argument)?;
        self.streams.sent(id, payload.len());
        Ok(())
    }

    /// Tells the server that no more messages follow.
    pub fn finish(&mut self, id: CallId) {
        if self.streams.finish(id) {
            // Control frames are shorter than any limit that a server may name.
            let _ = self.outbox.append(&Frame::End(id));
        }
    }

    /// Exchanges a batch of messages that was taken for the next one. After [`Received::Nothing`] a [`Signal::Readable`]
    /// follows.
    pub fn receive(&mut self, id: CallId, batch: &mut Batch) -> Received {
        let received = self.streams.receive(id, batch);
        self.give_credit();
        received
    }

    /// Returns how a stream has ended; `None` while it goes on, and after it was released.
    #[must_use]
    pub fn end(&self, id: CallId) -> Option<Attempt> {
        self.streams.end(id)
    }

    /// Returns true if frames wait that overtake all others, such as credit.
    #[must_use]
    pub fn has_urgent(&self) -> bool {
        self.outbox.has_urgent()
    }

    /// Forgets a stream, and cancels it if it has not ended.
    pub fn release(&mut self, id: CallId) {
        self.close_stream(id, given_up());
        self.streams.release(id);
        self.give_credit();
        self.relieve();
    }

    /// Returns the metadata that the server takes. One of version 1 takes none: it can do without those of this project, but the
    /// caller's must not get lost.
    fn allowed<'a>(&self, metadata: MetadataRef<'a>) -> Result<MetadataRef<'a>, EncodeError> {
        if self.has_streams || metadata.is_empty() {
            return Ok(metadata);
        }
        let all_ours = metadata.iter().all(|(name, _)| Metadata::is_reserved(name));
        if all_ours { Ok(MetadataRef::default()) } else { Err(EncodeError::NoMetadata) }
    }

    /// Returns the next output.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output<C, S>> {
        self.outputs.pop_front()
    }

    /// Moves all outputs to `outputs`, which must be empty, for an owner that performs them without its lock.
    pub fn poll_outputs(&mut self, outputs: &mut VecDeque<Output<C, S>>) {
        mem::swap(&mut self.outputs, outputs);
    }

    /// Returns the time at which [`Input::Timeout`] is due.
    #[must_use]
    pub fn poll_deadline(&self) -> Option<Millis> {
        match &self.phase {
            Phase::Greeting { until } => Some(*until),
            Phase::Open(silence) | Phase::Leaving(silence) => {
                let tick = silence.next_tick();
                let earliest = self.calls.earliest().into_iter().chain(self.streams.earliest());
                Some(earliest.fold(tick, Millis::min))
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
            if let Some(number) = self.pong.take() {
                self.outbox.urgent(&Frame::Pong(number));
            }
            self.transmitted = self.outbox.exchange(last).unwrap_or(self.transmitted);
            if let Phase::Open(silence) | Phase::Leaving(silence) = &mut self.phase {
                silence.transmit();
            }
            if self.outbox.len() <= self.config.max_queued / 2 {
                self.give_room();
            }
            if self.messages_wait && self.outbox.len() <= MESSAGES_AHEAD / 2 {
                self.messages_wait = false;
                self.streams.wake_senders();
                self.pass_signals();
            }
        }
        if let Phase::Open(silence) | Phase::Leaving(silence) = &mut self.phase {
            silence.look(last);
        }
        if matches!(self.phase, Phase::Leaving(_))
            && self.in_flight() == 0
            && last.is_done()
            && self.outbox.is_empty()
        {
            self.close(Ending::Left);
        }
    }

    /// Returns the number of calls and streams that have not ended, for checks of the owner's own count.
    pub fn in_flight(&self) -> usize {
        self.calls.len() + self.streams.open()
    }

    /// Returns the id of the next call, if there is room for it.
    fn admit(&mut self, len: usize) -> Result<CallId, Refused> {
        if !matches!(self.phase, Phase::Open(_)) {
            return Err(Refused::Closed);
        }
        if !self.has_room(len) {
            return Err(Refused::Full);
        }
        Ok(CallId(self.last.0 + 1))
    }

    /// Returns true if a caller need not wait: there is room for so many bytes of arguments, or no call can start any more. An
    /// [`Output::Room`] follows otherwise.
    pub fn has_room(&mut self, len: usize) -> bool {
        if !matches!(self.phase, Phase::Open(_)) {
            return true;
        }
        let queued = self.outbox.len().saturating_add(self.promised);
        if queued > 0 && queued.saturating_add(len) > self.config.max_queued {
            self.crowded = true;
            return false;
        }
        // One alone is the server's to judge.
        let arguments = (self.calls.arguments() + self.stream_arguments).saturating_add(self.promised);
        if arguments > 0 && arguments.saturating_add(len) > self.max_arguments {
            self.burdened = true;
            return false;
        }
        true
    }

    /// Keeps room for a caller that was refused and is told to try again, so that others do not take it meanwhile.
    pub fn promise(&mut self, len: usize) {
        self.promised = self.promised.saturating_add(len);
    }

    /// Returns true if room is kept for callers.
    #[must_use]
    pub fn has_promised(&self) -> bool {
        self.promised > 0
    }

    /// Gives up the room that was kept for a caller, which tries again now, or never.
    pub fn release_promise(&mut self, len: usize) {
        self.promised = self.promised.saturating_sub(len);
    }

    fn handle_hello(&mut self, now: Millis, body: &[u8]) {
        match hello::read(&self.config, body) {
            Ok(hello::Server { instance, max_frame, budget }) => {
                self.outbox.server_max = max_frame;
                if let Some(budget) = budget {
                    self.has_streams = true;
                    self.max_arguments = budget.calls as usize;
                    self.streams.greeted(budget);
                }
                self.phase = Phase::Open(Silence::new(now, self.config.keepalive));
                self.outputs.push_back(Output::Greeted { instance });
            }
            Err(error) => self.close(Ending::Hello(error)),
        }
    }

    fn handle_frame(&mut self, mut body: Bytes) -> Result<(), Ending> {
        match Frame::decode(&body)? {
            Frame::Reply(Reply::Ok { id, payload, metadata }) => {
                let (head, metadata) = (body.len() - payload.len(), metadata.to_owned());
                // The payload is the end of the frame.
                body.advance(head);
                self.complete(id, Ok(Answer { payload: body, metadata }));
            }
            Frame::Reply(Reply::Failed { id, code, message, details, metadata, not_run }) => {
                let details = (!details.is_empty()).then(|| details.into());
                let metadata = (!metadata.is_empty()).then(|| Box::new(metadata.to_owned()));
                let status = Status { details, metadata, ..Status::new(code, message) };
                self.complete(id, Err(if not_run { Ended::NotRun(status) } else { Ended::Failed(status) }));
            }
            Frame::GoAway(go_away) => self.handle_go_away(&go_away),
            Frame::Credit(credit) => self.streams.grant(credit)?,
            Frame::Ping(number) => self.pong = Some(number),
            Frame::Pong(_) => self.outputs.push_back(Output::Alive),
            // Messages come as an input of their own. Later versions may send more kinds of frames.
            _ => {}
        }
        Ok(())
    }

    fn handle_go_away(&mut self, go_away: &GoAway<'_>) {
        if matches!(self.phase, Phase::Open(_)) {
            // Before the completions, so that no retry of these calls comes here again.
            self.outputs.push_back(Output::GoingAway(go_away.code));
        }
        self.leave();
        // Each call gets a copy.
        let status = Status::new(go_away.code, beginning(go_away.message, LONGEST_REASON));
        for (_, call) in self.calls.after(go_away.last) {
            self.outputs.push_back(Output::Complete { call, attempt: Err(Ended::NotRun(status.clone())) });
        }
        for id in self.streams.after(go_away.last) {
            self.end_stream(id, Err(Ended::NotRun(status.clone())));
        }
        self.relieve();
    }

    fn handle_timeout(&mut self, now: Millis) {
        for (id, call) in self.calls.late(now) {
            self.cancel(id, false);
            self.outputs.push_back(Output::Complete { call, attempt: Err(Ended::Late) });
        }
        for id in self.streams.late(now) {
            self.close_stream(id, Err(Ended::Late));
        }
        self.relieve();
        let (Phase::Open(silence) | Phase::Leaving(silence)) = &mut self.phase else { return };
        match silence.tick(now) {
            Verdict::Fine => {}
            Verdict::Ask => self.outbox.urgent(&Frame::Ping(0)),
            Verdict::Silent => self.close(Ending::Silent),
            Verdict::Unread => self.close(Ending::Unread),
        }
    }

    fn give_credit(&mut self) {
        while let Some(credit) = self.streams.next_credit() {
            self.outbox.urgent(&Frame::Credit(credit));
        }
    }

    fn pass_signals(&mut self) {
        // Asked first, because most inputs wake nobody.
        if self.streams.has_signals() {
            self.outputs.extend(self.streams.signals().map(Output::Signal));
        }
    }
}
