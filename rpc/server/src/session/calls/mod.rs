//! Calls of a session: [`admission`], messages, cancels, deadlines, replies.

mod admission;

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::Arc;

use common::{Millis, beginning};
use rpc_wire::{
    Budget, CallId, Code, Credit, DecodeError, Format, Frame, GoAway, HEADER_LEN, MessageRun, Metadata,
    OLDEST_VERSION, Status,
};

use super::config::SessionConfig;
use super::hello::{Agreed, MIN_FRAME};
use super::incoming::Incoming;
use super::message::{Replies, Segment, Taken, Turn};
use super::methods::{MethodId, MethodKind, ServiceId};
use super::outgoing::{Kept, Outgoing, Sent};
use super::queue::Queue;
use super::read_buffer::Arrival;
use super::reply::{CallHead, broken, surplus, too_late};

/// Maximum number of bytes of waiting replies. Above it no call starts and nothing is read.
const OUT_HIGH_WATER: usize = 1 << 20;

/// Number of waiting bytes above which messages stay in their streams, where a cancel drops them.
const MESSAGES_HIGH_WATER: usize = 64 << 10;

/// Calls of a session and the frames for the client.
#[derive(Debug)]
pub(super) struct Calls<T> {
    config: Arc<SessionConfig>,
    /// Encoded frames that wait for the next batch.
    pub(super) out: Vec<u8>,
    /// Number of bytes of streams among them.
    stream_bytes: usize,
    version: u16,
    /// Service of plain method names.
    service: Option<ServiceId>,
    format: Format,
    /// Maximum length of a frame's body for the client.
    client_max: usize,
    /// Maximum number of bytes of replies that may wait for the client.
    reply_bytes: usize,
    /// Number of the last request; numbers increase.
    last: CallId,
    /// Calls that did not end at their first poll.
    running: BTreeMap<CallId, RunningCall<T>>,
    /// Deadlines of running calls.
    deadlines: BTreeSet<(Millis, CallId)>,
    /// Sum of the lengths of their arguments and metadata.
    argument_bytes: usize,
    incoming: Incoming,
    outgoing: Outgoing,
    /// Frames of streams that have gone out or been dropped, and the owner has not been told.
    pub(super) sent: Queue<Sent>,
    /// New calls are refused, for this reason.
    pub(super) draining: Option<&'static str>,
    /// Handles of calls that the owner has to drop, and the codes with which these have ended.
    pub(super) aborted: Queue<(T, Code)>,
    /// The quota is used up and the owner has not been told.
    pub(super) retire: bool,
}

#[derive(Debug)]
struct RunningCall<T> {
    task: T,
    argument_bytes: usize,
    deadline: Option<Millis>,
    kind: MethodKind,
    /// The call has no end of its own.
    is_watch: bool,
}

/// Result of a frame that the owner has to hand to a handler.
#[derive(Clone, Debug)]
pub(super) enum Next {
    /// Call that starts.
    Call(AcceptedCall),
    /// Messages of a running call, or their end.
    Messages(ArrivedMessages),
}

/// Messages of a running call, one behind the other; none is the end of the messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct ArrivedMessages {
    pub(super) id: CallId,
    /// Length of their frames, and that of the last one.
    pub(super) len: usize,
    pub(super) last: usize,
    pub(super) count: usize,
}

/// Call that may start.
#[derive(Clone, Debug)]
pub(super) struct AcceptedCall {
    pub(super) call: CallHead,
    pub(super) method: MethodId,
    pub(super) kind: MethodKind,
    /// Names and values beside the argument, until the owner takes them.
    pub(super) metadata: Option<Arc<Metadata>>,
    pub(super) payload_len: usize,
    /// Length of the payload and of the metadata.
    pub(super) argument_bytes: usize,
}

impl<T> Calls<T> {
    pub(super) fn new(config: Arc<SessionConfig>) -> Self {
        Self {
            reply_bytes: config.limits.reply_bytes,
            incoming: Incoming::new(config.limits.budget()),
            outgoing: Outgoing::new(0, 0),
            sent: Queue::new(),
            config,
            out: Vec::new(),
            stream_bytes: 0,
            version: OLDEST_VERSION,
            service: None,
            format: Format::default(),
            client_max: MIN_FRAME,
            last: CallId(0),
            running: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            argument_bytes: 0,
            draining: None,
            aborted: Queue::new(),
            retire: false,
        }
    }

    /// Answers the client's hello.
    pub(super) fn greeted(&mut self, agreed: Agreed) -> Result<(), Status> {
        (self.version, self.service, self.format) = (agreed.version, agreed.service, agreed.format);
        self.client_max = agreed.client_max;
        if let Some(Budget { stream, connection, calls }) = agreed.client_budget {
            self.outgoing = Outgoing::new(stream, connection);
            self.reply_bytes = self.reply_bytes.min(usize::try_from(calls).unwrap_or(usize::MAX));
        }
        let answered = self.config.answer(agreed, &mut self.out);
        answered.map_err(|error| Status::internal(error.to_string()))
    }

    /// Handles a frame and returns what the owner has to hand to a handler, if anything. An error ends the connection.
    pub(super) fn handle(
        &mut self,
        now: Millis,
        frame: Frame<'_>,
        arrival: Arrival,
        turn: &Turn,
    ) -> Result<Option<Next>, Status> {
        match frame {
            Frame::Request(request) => {
                return Ok(self.request(now, &request, arrival, turn)?.map(Next::Call));
            }
            Frame::Ping(number) => self.push(&Frame::Pong(number)),
            Frame::Hello(_) => return Err(Status::invalid_argument("a second hello")),
            Frame::Reply(_) | Frame::GoAway(_) => {
                return Err(Status::invalid_argument("a frame that only a server may send"));
            }
            Frame::End(id) if self.version > 1 => {
                let is_awaited = self.incoming.end(id);
                let end = ArrivedMessages { id, len: 0, last: 0, count: 0 };
                return Ok(self.hand_on(end, is_awaited));
            }
            Frame::Credit(credit) if self.version > 1 => self.grant(credit)?,
            Frame::End(_) | Frame::Credit(_) => return Err(broken(&DecodeError::BeyondVersion)),
            // Cancels were handled on arrival, and messages are handled together. Unknown kinds may be skipped.
            _ => {}
        }
        Ok(None)
    }

    fn grant(&mut self, Credit { id, bytes }: Credit) -> Result<(), Status> {
        let is_allowed = self.outgoing.grant(id, bytes);
        let too_much = || format!("credit for call {} beyond {} bytes", id.0, u32::MAX);
        is_allowed.then_some(()).ok_or_else(|| Status::invalid_argument(too_much()))
    }

    /// Handles messages, as [`Calls::handle`] handles other frames.
    pub(super) fn messages(&mut self, run: MessageRun<'_>) -> Result<Option<Next>, Status> {
        if self.version == 1 {
            // A client may send them in vain.
            return Ok(None);
        }
        let MessageRun { id, frames, last, count } = run;
        let is_awaited = self.incoming.receive(id, frames.len(), last)?;
        Ok(self.hand_on(ArrivedMessages { id, len: frames.len(), last, count }, is_awaited))
    }

    fn hand_on(&mut self, arrived: ArrivedMessages, is_awaited: bool) -> Option<Next> {
        self.give_credit();
        if is_awaited {
            return Some(Next::Messages(arrived));
        }
        // Of a call that has ended, messages may have been on their way.
        if self.running.contains_key(&arrived.id) {
            self.fail(arrived.id, &surplus());
        }
        None
    }

    /// Returns what the reply of a call needs.
    fn head(&self, id: CallId, deadline: Option<Millis>) -> CallHead {
        let Self { version, format, client_max, reply_bytes, .. } = *self;
        let max_reply = client_max.min(reply_bytes.max(MIN_FRAME));
        // Messages are the client's windows to bound, and this server's limit.
        let max_message = client_max.min(self.config.limits.reply_bytes.max(MIN_FRAME));
        CallHead { id, version, format, max_reply, max_message, deadline }
    }

    /// Adds a call that did not end at its first poll.
    pub(super) fn run(&mut self, accepted: &AcceptedCall, task: T) {
        let AcceptedCall { call: CallHead { id, deadline, .. }, method, kind, argument_bytes, .. } =
            *accepted;
        let is_watch = self.config.methods.is_watch(method);
        self.argument_bytes += argument_bytes;
        self.deadlines.extend(deadline.map(|at| (at, id)));
        if kind.client_streams() {
            self.incoming.open(id);
        }
        if kind.server_streams() {
            self.outgoing.open(id);
        }
        self.running.insert(id, RunningCall { task, argument_bytes, deadline, kind, is_watch });
    }

    /// Returns the handle of a running call.
    pub(super) fn task(&self, id: CallId) -> Option<&T> {
        self.running.get(&id).map(|call| &call.task)
    }

    /// Aborts a call without a reply, if it runs.
    pub(super) fn cancel(&mut self, id: CallId) {
        self.abort(id, Code::CANCELLED);
    }

    /// Aborts a call that runs, with a reply.
    fn fail(&mut self, id: CallId, status: &Status) {
        self.head(id, None).fail(status, &mut self.out);
        self.abort(id, status.code);
    }

    fn abort(&mut self, id: CallId, code: Code) {
        if let Some(task) = self.end(id) {
            self.aborted.push((task, code));
        }
    }

    /// Aborts the calls whose deadline has come, with a reply. Returns false if there are none.
    pub(super) fn expire(&mut self, now: Millis) -> bool {
        let mut any = false;
        while let Some(&(_, id)) = self.deadlines.first().filter(|(at, _)| *at <= now) {
            self.fail(id, &too_late());
            any = true;
        }
        any
    }

    /// Ends the calls that have no end of their own, with a reply, so that they do not hold the connection.
    pub(super) fn end_watches(&mut self, why: &str) {
        let watches = self.running.iter().filter(|(_, call)| call.is_watch).map(|(id, _)| *id);
        for id in watches.collect::<Vec<_>>() {
            self.fail(id, &Status::unavailable(why));
        }
    }

    /// Aborts all running calls without replies.
    pub(super) fn abort_all(&mut self) {
        while let Some(id) = self.running.last_key_value().map(|(id, _)| *id) {
            self.cancel(id);
        }
    }

    /// Takes what handlers have produced and taken. Frames of aborted calls are dropped.
    pub(super) fn collect(&mut self, replies: Replies) {
        let Replies { mut frames, segments, taken } = replies;
        let (mut at, mut kept) = (0, 0);
        for segment in &segments {
            let end = at + segment.len;
            let passed = self.pass(*segment, &frames[at..end], self.out.len() + kept);
            if passed < segment.len {
                let waiting = match segments.len() {
                    1 if passed == 0 => Kept::All(mem::take(&mut frames)),
                    _ => Kept::Part(&frames[at + passed..end]),
                };
                self.outgoing.keep(segment.id, waiting);
            }
            if kept != at && passed > 0 {
                frames.copy_within(at..at + passed, kept);
            }
            kept += passed;
            at = end;
        }
        frames.truncate(kept);
        if self.out.is_empty() && !frames.is_empty() {
            self.out = frames;
        } else {
            self.out.append(&mut frames);
        }
        for Taken { id, bytes } in taken {
            self.incoming.take(id, bytes);
        }
        self.give_credit();
    }

    /// Takes frames of a call. Returns the length of those that go out now.
    fn pass(&mut self, segment: Segment, frames: &[u8], waiting: usize) -> usize {
        let Segment { id, len, is_end } = segment;
        if !self.outgoing.has(id) {
            // Without a stream it is a reply, or it comes too late.
            let is_needed = self.end(id).is_some();
            if !is_needed {
                self.sent.push(Sent { id, bytes: len, is_end });
            }
            return if is_needed { len } else { 0 };
        }
        let bytes = self.outgoing.pass(id, frames, is_end, waiting < MESSAGES_HIGH_WATER);
        self.stream_bytes += bytes;
        self.sent.push(Sent { id, bytes, is_end });
        if is_end && bytes == len {
            self.end(id);
        }
        bytes
    }

    /// Sends waiting messages for which there is credit, as long as few bytes wait in front of them.
    pub(super) fn send_messages(&mut self) {
        while self.out.len() < MESSAGES_HIGH_WATER
            && let Some(sent) = self.outgoing.next(&mut self.out)
        {
            self.stream_bytes += sent.bytes;
            self.sent.push(sent);
            if sent.is_end {
                self.end(sent.id);
            }
        }
    }

    fn give_credit(&mut self) {
        while let Some(credit) = self.incoming.next_credit() {
            self.push(&Frame::Credit(credit));
        }
    }

    fn end(&mut self, id: CallId) -> Option<T> {
        let RunningCall { task, argument_bytes, deadline, kind, .. } = self.running.remove(&id)?;
        self.argument_bytes -= argument_bytes;
        if let Some(at) = deadline {
            self.deadlines.remove(&(at, id));
        }
        if kind.server_streams() {
            self.outgoing.close(id);
        }
        if kind.client_streams() {
            self.incoming.close(id);
            self.give_credit();
        }
        Some(task)
    }

    /// Returns true if messages wait that may be sent.
    pub(super) fn has_messages(&self) -> bool {
        self.outgoing.is_ready()
    }

    /// Returns the memory of queues, in bytes, without that of messages.
    pub(super) fn queue_bytes(&self) -> usize {
        self.out.capacity()
            + self.sent.held()
            + self.aborted.held()
            + self.incoming.held()
            + self.outgoing.held()
    }

    /// Returns the bytes of messages that wait for handlers, or for the client.
    pub(super) fn message_bytes(&self) -> usize {
        self.incoming.untaken() + self.outgoing.queued()
    }

    /// Returns the maximum number of bytes of replies that may wait for the client.
    pub(super) fn reply_bytes(&self) -> usize {
        self.reply_bytes
    }

    /// Returns the number of waiting bytes without those of streams, which the windows of the client bound.
    pub(super) fn waiting_replies(&self) -> usize {
        self.out.len() - self.stream_bytes
    }

    /// Takes the batch, and the number of its bytes that are not of streams.
    pub(super) fn take_batch(&mut self) -> (Vec<u8>, usize) {
        let replies = self.waiting_replies();
        self.stream_bytes = 0;
        (mem::take(&mut self.out), replies)
    }

    /// Returns the number of bytes of waiting replies above which nothing is read.
    pub(super) fn high_water(&self) -> usize {
        OUT_HIGH_WATER.min(self.reply_bytes)
    }

    /// Returns the sum of the lengths of the arguments and metadata of running calls.
    pub(super) fn argument_bytes(&self) -> usize {
        self.argument_bytes
    }

    /// Returns the earliest deadline of a running call.
    pub(super) fn next_deadline(&self) -> Option<Millis> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Returns true if no call runs.
    pub(super) fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// Returns true if a drain has no call left to wait for.
    pub(super) fn is_drained(&self) -> bool {
        self.draining.is_some() && self.running.is_empty()
    }

    /// Tells the client that new calls are refused, if so.
    pub(super) fn say_draining(&mut self) {
        if let Some(why) = self.draining {
            self.go_away(&Status::unavailable(why));
        }
    }

    pub(super) fn go_away(&mut self, status: &Status) {
        let message = beginning(&status.message, self.client_max - HEADER_LEN);
        self.push(&Frame::GoAway(GoAway { last: self.last, code: status.code, message }));
    }

    fn push(&mut self, frame: &Frame<'_>) {
        // Control frames are shorter than the smallest limit that a client may name.
        let _ = frame.encode(&mut self.out, self.client_max);
    }
}
