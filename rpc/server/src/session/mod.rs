//! The server's side of one connection: hello, calls in flight and their deadlines, streams and their windows, limits, early
//! refusal, look-ahead for cancels, idle times, drain. No I/O: inputs and the time go in, outputs and bytes come out.
//!
//! # How to drive it
//! - Drain [`Session::poll_output`] after each input.
//! - While [`Session::wants_bytes`], append arriving bytes to [`Session::read_buffer`] and pass [`Input::Received`].
//! - While [`Session::wants_turn`], pass [`Input::Turn`]. The session handles frames up to the next call and gives
//!   [`Output::Start`], always as the last output of a drain. Poll the call's handler once and pass [`Input::Returned`]
//!   before any other input. [`Output::Messages`] comes in the same way: hand the messages to their call and pass
//!   [`Input::Delivered`].
//! - Write the bytes of [`Session::transmit`] and report progress by [`Input::Wrote`]. Ask for bytes after a turn, so that
//!   its replies are in one batch.
//! - Pass the messages and replies of calls that did not end at their first poll by [`Input::Replies`]. Messages wait for
//!   credit of the client; [`Output::Sent`] tells when they have gone out.
//! - Pass [`Input::Timeout`] at [`Session::poll_deadline`].
//!
//! `T` is the owner's handle of a running call; [`Output::Abort`] gives it back.
//!
//! A session has more methods than `handle`, `poll_output` and `poll_deadline`, for these reasons. Bytes pass without a copy:
//! [`Session::read_buffer`], [`Session::transmit`]. The owner divides its time among connections, and reads only what there
//! is room for: [`Session::wants_turn`], [`Session::wants_bytes`], [`Session::is_draining`]. Connections share limits:
//! [`Session::held`], [`Session::unsent_replies`], [`Session::idle_since`].
//!
//! Each call is answered at most once. A call that is cancelled or past its deadline is given back by [`Output::Abort`];
//! a reply that its handler produces later is dropped.
//!
//! ```
//! use std::sync::Arc;
//!
//! use common::Millis;
//! use rpc_server::session::{Input, MethodKind, MethodTable, Output, Session, SessionConfig, Turn};
//! use rpc_server::{Format, Limits};
//! use rpc_wire::{Budget, CallId, Frame, Hello, Reply, Request, VERSION, split_frame};
//!
//! let config = SessionConfig {
//!     instance: "me".into(),
//!     limits: Limits::default(),
//!     methods: MethodTable::new([("demo".into(), [("ping".into(), MethodKind::Unary)])]),
//!     quota: None,
//!     metrics: Arc::default(),
//! };
//! let mut session: Session<()> = Session::new(Arc::new(config), Millis(0));
//!
//! // A client sends its hello and a call in one write.
//! let mut bytes = Vec::new();
//! let (format, budget) = (Format::JSON, Some(Budget::default()));
//! let hello = Hello { version: VERSION, format, max_frame: 4096, service: "demo", instance: "", budget };
//! Frame::Hello(hello).encode(&mut bytes, 4096)?;
//! let request = Request { method: "ping", payload: b"7", ..Request::new(CallId(1)) };
//! Frame::Request(request).encode(&mut bytes, 4096)?;
//! session.read_buffer().extend_from_slice(&bytes);
//! session.handle(Millis(1), Input::Received);
//!
//! // The session starts the call. It ends at its first poll: its reply stands in `start.reply`.
//! assert!(session.wants_turn());
//! session.handle(Millis(1), Input::Turn(Turn::default()));
//! let Some(Output::Start(start)) = session.poll_output() else { panic!("a call") };
//! Frame::Reply(Reply::ok(start.call.id, start.payload)).encode(start.reply, start.call.max_reply)?;
//! session.handle(Millis(2), Input::Returned { task: None, turn: Some(Turn::default()) });
//! assert!(session.poll_output().is_none());
//!
//! // The hello of the server and the reply go out together.
//! let out = session.transmit().ok_or("bytes to write")?;
//! session.handle(Millis(2), Input::Wrote(out.len()));
//! let (_hello, rest) = split_frame(&out, 4096)?.ok_or("a hello")?;
//! let (reply, _) = split_frame(rest, 4096)?.ok_or("a reply")?;
//! assert_eq!(Frame::decode(reply)?, Frame::Reply(Reply::ok(CallId(1), b"7")));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod call_quota;
mod calls;
mod config;
mod ending;
mod hello;
mod incoming;
mod message;
mod methods;
mod outgoing;
mod pause;
mod phase;
mod queue;
mod read_buffer;
mod reply;
mod reply_queue;
#[cfg(test)]
mod tests;

use std::mem;
use std::sync::Arc;

use bytes::BytesMut;
use common::Millis;
use rpc_wire::{Frame, MessageRun, Status};

pub use call_quota::CallQuota;
use calls::{AcceptedCall, ArrivedMessages, Calls, Next};
pub use config::SessionConfig;
pub use message::{Delivery, End, Full, Input, Output, Replies, Segment, Start, Taken, Turn};
pub(crate) use methods::BUILT_IN;
pub use methods::{MethodId, MethodKind, MethodTable, ServiceId};
pub(crate) use pause::Pause;
use phase::{Phase, deadline};
use read_buffer::ReadBuffer;
pub use reply::CallHead;
use reply::SHUTTING_DOWN;
pub(crate) use reply::panicked;
pub(crate) use reply_queue::{Progress, ReplyQueue};

/// The server's side of one connection.
#[derive(Debug)]
pub struct Session<T> {
    config: Arc<SessionConfig>,
    phase: Phase,
    input: ReadBuffer,
    calls: Calls<T>,
    /// Call between [`Output::Start`] and [`Input::Returned`].
    starting: Option<Starting>,
    /// Messages between [`Output::Messages`] and [`Input::Delivered`].
    delivering: Option<Delivering>,
    /// Unwritten bytes of the last batch, and the number of its bytes that are not of streams.
    unwritten: usize,
    batch_replies: usize,
    /// Total of the bytes that the transport has taken.
    written: u64,
    /// Time since which the transport has not taken the rest of a batch. A part that it takes does not change it.
    blocked: Option<Millis>,
    /// Time since which nothing is read, because enough work waits.
    deaf: Option<Millis>,
    /// Time of the last arrival of bytes or end of a call.
    active: Millis,
    /// Time at which the connection is too old.
    expires: Option<Millis>,
    shut_down: bool,
    ended: Option<End>,
}

#[derive(Debug)]
struct Starting {
    accepted: AcceptedCall,
    is_handed_out: bool,
}

#[derive(Debug)]
struct Delivering {
    arrived: ArrivedMessages,
    is_handed_out: bool,
}

impl<T> Session<T> {
    /// Begins a session on a connection that was accepted at `now`.
    #[must_use]
    pub fn new(config: Arc<SessionConfig>, now: Millis) -> Self {
        Self {
            phase: Phase::Greeting { until: deadline(now, config.limits.hello_timeout.into()) },
            input: ReadBuffer::new(config.limits.max_frame),
            calls: Calls::new(Arc::clone(&config)),
            config,
            starting: None,
            delivering: None,
            unwritten: 0,
            batch_replies: 0,
            written: 0,
            blocked: None,
            deaf: None,
            active: now,
            expires: None,
            shut_down: false,
            ended: None,
        }
    }

    /// Sets the age at which the connection has to end, if the limits have one, with a tenth of it by chance.
    #[must_use]
    pub fn aging(mut self, chance: impl FnOnce() -> u64) -> Self {
        self.expires = self.config.limits.connection_age.and_then(|age| {
            let tenth = Millis(chance() % (Millis::from(age).0 / 10 + 1));
            deadline(self.active + tenth, age.into())
        });
        self
    }

    /// Takes an input. Drain [`Session::poll_output`] afterwards.
    // `Returned` is the most common input, and a constant where it is passed: inlined, it needs no match.
    #[inline(always)]
    pub fn handle(&mut self, now: Millis, input: Input<T>) {
        match input {
            Input::Received => self.receive(now),
            Input::Turn(turn) => {
                if self.wants_turn() {
                    self.advance(now, &turn);
                }
            }
            Input::Returned { task, turn } => self.call_returned(now, task, turn.as_ref()),
            Input::Delivered { turn } => self.delivered(now, turn.as_ref()),
            Input::Replies(replies) => {
                // After the end of the session nobody waits for them.
                if !replies.is_empty() && !matches!(self.phase, Phase::Closed) {
                    self.calls.collect(replies);
                    self.active = now;
                }
            }
            Input::Wrote(bytes) => {
                self.unwritten = self.unwritten.saturating_sub(bytes);
                self.written += bytes as u64;
                self.blocked = (self.unwritten > 0).then(|| self.blocked.unwrap_or(now));
                // An evicted connection gets one attempt to say goodbye.
                if matches!(self.phase, Phase::Parting { end: End::Evicted, .. }) {
                    self.close(End::Evicted);
                }
            }
            Input::Drain => self.drain(now, SHUTTING_DOWN),
            Input::Evicted => self.evict(now),
            Input::Stalled(time) => self.excuse(now, time),
            Input::Timeout => self.time_out(now),
            Input::Closed => self.lose(),
        }
        // A call that is about to get a message must not end by what is sent.
        if self.starting.is_none() && self.delivering.is_none() {
            if self.calls.has_messages() && matches!(self.phase, Phase::Open) {
                self.calls.send_messages();
            }
            self.settle(now);
        }
    }

    /// Returns the next output.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output<'_, T>> {
        if let Some((task, code)) = self.calls.aborted.pop() {
            return Some(Output::Abort { task, code });
        }
        if mem::take(&mut self.calls.retire) {
            return Some(Output::Retire);
        }
        if let Some(sent) = self.calls.sent.pop() {
            return Some(Output::Sent { id: sent.id, bytes: sent.bytes });
        }
        if let Some(delivering) = self.delivering.as_mut().filter(|delivering| !delivering.is_handed_out) {
            delivering.is_handed_out = true;
            let ArrivedMessages { id, len, last, count } = delivering.arrived;
            let frames = self.input.end_of_last(len);
            let messages = (count > 0).then_some(MessageRun { id, frames, last, count });
            return self.calls.task(id).map(|task| Output::Messages(Delivery { task, messages }));
        }
        if let Some(starting) = self.starting.as_mut().filter(|starting| !starting.is_handed_out) {
            starting.is_handed_out = true;
            let AcceptedCall { call, method, payload_len, .. } = starting.accepted;
            let metadata = starting.accepted.metadata.take();
            let payload = self.input.end_of_last(payload_len);
            return Some(Output::Start(Start {
                call,
                method,
                metadata,
                payload,
                reply: &mut self.calls.out,
            }));
        }
        if mem::take(&mut self.shut_down) {
            return Some(Output::ShutDown);
        }
        self.ended.take().map(Output::Close)
    }

    /// Returns the next batch of bytes to write, after [`Input::Wrote`] has reported all of the last batch.
    #[must_use]
    pub fn transmit(&mut self) -> Option<Vec<u8>> {
        if self.unwritten > 0 || self.calls.out.is_empty() || matches!(self.phase, Phase::Closed) {
            return None;
        }
        let (batch, replies) = self.calls.take_batch();
        (self.unwritten, self.batch_replies) = (batch.len(), replies);
        Some(batch)
    }

    /// Returns the time at which [`Input::Timeout`] is due.
    #[must_use]
    pub fn poll_deadline(&self) -> Option<Millis> {
        match &self.phase {
            Phase::Greeting { until } | Phase::Parting { until, .. } | Phase::Lingering { until, .. } => {
                *until
            }
            Phase::Open => {
                let due = self.due().map(|(due, _)| due);
                due.into_iter().chain(self.calls.next_deadline()).chain(self.expires).min()
            }
            Phase::Closed => None,
        }
    }

    /// Returns the buffer for the bytes that arrive.
    pub fn read_buffer(&mut self) -> &mut BytesMut {
        self.input.buffer()
    }

    /// Returns true if more bytes should be read.
    #[must_use]
    pub fn wants_bytes(&self) -> bool {
        match self.phase {
            Phase::Greeting { .. } | Phase::Lingering { .. } => true,
            Phase::Open => self.input.wants_more() && !self.is_clogged(),
            Phase::Parting { .. } | Phase::Closed => false,
        }
    }

    /// Returns true if frames wait and may be handled. They may not while many replies wait.
    #[must_use]
    pub fn wants_turn(&self) -> bool {
        matches!(self.phase, Phase::Open) && self.input.is_waiting() && !self.is_clogged()
    }

    /// Returns true after [`Input::Drain`], or at the end of its age: new calls are refused.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.calls.draining.is_some()
    }

    /// Returns the number of bytes that the transport has not taken, without those of streams.
    #[must_use]
    pub fn unsent_replies(&self) -> usize {
        self.unwritten.min(self.batch_replies) + self.calls.waiting_replies()
    }

    /// Returns the total of the bytes that the transport has taken.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Returns the maximum for [`Session::unsent_replies`].
    #[must_use]
    pub fn reply_bytes(&self) -> usize {
        self.calls.reply_bytes()
    }

    /// Returns the memory that the session holds, in bytes, without the batch that is being written.
    #[must_use]
    pub fn held(&self) -> usize {
        self.input.held()
            + self.calls.argument_bytes()
            + self.calls.message_bytes()
            + self.calls.queue_bytes()
    }

    /// Returns the time since which the session has been idle; `None` if it has work.
    #[must_use]
    pub fn idle_since(&self) -> Option<Millis> {
        let is_idle = matches!(self.phase, Phase::Open)
            && self.calls.is_idle()
            && self.starting.is_none()
            && self.delivering.is_none()
            && self.is_sent()
            && self.input.is_empty();
        is_idle.then_some(self.active)
    }

    fn is_clogged(&self) -> bool {
        self.unsent_replies() > self.calls.high_water()
    }

    /// Returns true if the transport has taken everything.
    fn is_sent(&self) -> bool {
        self.unwritten == 0 && self.calls.out.is_empty()
    }

    fn receive(&mut self, now: Millis) {
        self.active = now;
        match self.phase {
            Phase::Greeting { .. } => {
                if let Err(status) = self.greet(now) {
                    self.refuse(now, status);
                }
            }
            Phase::Open => self.input.arrived(now, |id| self.calls.cancel(id)),
            Phase::Parting { .. } | Phase::Lingering { .. } | Phase::Closed => self.input.discard(),
        }
    }

    fn greet(&mut self, now: Millis) -> Result<(), Status> {
        let Some((hello_len, agreed)) = self.config.hear(self.input.bytes())? else { return Ok(()) };
        self.input.skip(hello_len, now);
        self.calls.greeted(agreed)?;
        self.phase = Phase::Open;
        self.calls.say_draining();
        Ok(())
    }

    /// Handles frames up to the next call that is to start, or the next message for a handler.
    fn advance(&mut self, now: Millis, turn: &Turn) {
        match self.next(now, turn) {
            Ok(Some(Next::Call(accepted))) => {
                if self.calls.out.capacity() == 0 {
                    // Replies are often as long as their requests.
                    self.calls.out.reserve(self.input.bytes().len().min(self.calls.high_water()));
                }
                self.starting = Some(Starting { accepted, is_handed_out: false });
            }
            Ok(Some(Next::Messages(arrived))) => {
                self.delivering = Some(Delivering { arrived, is_handed_out: false });
            }
            Ok(None) => self.end_turn(),
            Err(status) => self.refuse(now, status),
        }
    }

    fn next(&mut self, now: Millis, turn: &Turn) -> Result<Option<Next>, Status> {
        while self.calls.waiting_replies() <= self.calls.high_water() {
            let next = if let Some(run) = self.input.next_messages() {
                self.calls.messages(run)?
            } else {
                let Some(frame) = self.input.next().map_err(|error| reply::broken(&error))? else { break };
                let decoded = Frame::decode(frame.body).map_err(|error| reply::broken(&error))?;
                self.calls.handle(now, decoded, frame.arrival, turn)?
            };
            if next.is_some() {
                return Ok(next);
            }
        }
        Ok(None)
    }

    fn call_returned(&mut self, now: Millis, task: Option<T>, turn: Option<&Turn>) {
        let Some(Starting { accepted, .. }) = self.starting.take() else { return };
        if let Some(task) = task {
            self.calls.run(&accepted, task);
        }
        self.go_on(now, turn);
    }

    fn delivered(&mut self, now: Millis, turn: Option<&Turn>) {
        if self.delivering.take().is_some() {
            self.go_on(now, turn);
        }
    }

    fn go_on(&mut self, now: Millis, turn: Option<&Turn>) {
        match turn {
            Some(turn) => self.advance(now, turn),
            None => self.end_turn(),
        }
    }

    /// Frees the memory of handled frames, and of replies that did not come at once.
    fn end_turn(&mut self) {
        self.input.release();
        if self.calls.out.is_empty() {
            self.calls.out = Vec::new();
        }
    }
}
