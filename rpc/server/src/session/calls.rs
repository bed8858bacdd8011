//! Calls of a session: admission, cancels, deadlines, replies.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use common::Millis;
use rpc_wire::{CallId, Format, Frame, GoAway, HEADER_LEN, Metadata, Request, Status, VERSION};

use super::config::SessionConfig;
use super::hello::{Agreed, MIN_FRAME};
use super::message::{Full, Replies, Turn};
use super::methods::MethodId;
use super::read_buffer::Arrival;
use super::reply::{CallHead, cut, leaving, no_time, too_late, write_failed};

/// Waiting time of a call above which the server counts as behind: it then refuses calls that cannot be done in time.
const BEHIND: Millis = Millis(1);

/// Calls of a session and the frames for the client.
#[derive(Debug)]
pub(super) struct Calls<T> {
    config: Arc<SessionConfig>,
    /// Encoded frames that wait for the next batch.
    pub(super) out: Vec<u8>,
    version: u16,
    format: Format,
    /// Maximum length of a frame's body for the client.
    client_max: usize,
    /// Number of the last request; numbers increase.
    last: CallId,
    /// Calls that did not end at their first poll.
    running: BTreeMap<CallId, RunningCall<T>>,
    /// Deadlines of running calls.
    deadlines: BTreeSet<(Millis, CallId)>,
    /// Sum of the lengths of their arguments.
    argument_bytes: usize,
    /// New calls are refused.
    pub(super) draining: bool,
    /// Handles of calls that the owner has to drop.
    pub(super) aborted: Vec<T>,
    /// The quota is used up and the owner has not been told.
    pub(super) retire: bool,
}

#[derive(Debug)]
struct RunningCall<T> {
    task: T,
    argument_bytes: usize,
    deadline: Option<Millis>,
}

/// Call that may start.
#[derive(Clone, Debug)]
pub(super) struct Accepted {
    pub(super) call: CallHead,
    pub(super) method: MethodId,
    /// Names and values beside the argument, until the owner takes them.
    pub(super) metadata: Option<Arc<Metadata>>,
    pub(super) argument_bytes: usize,
}

impl<T> Calls<T> {
    pub(super) fn new(config: Arc<SessionConfig>) -> Self {
        Self {
            config,
            out: Vec::new(),
            version: VERSION,
            format: Format::default(),
            client_max: MIN_FRAME,
            last: CallId(0),
            running: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            argument_bytes: 0,
            draining: false,
            aborted: Vec::new(),
            retire: false,
        }
    }

    /// Answers the client's hello.
    pub(super) fn greeted(&mut self, agreed: Agreed) -> Result<(), Status> {
        (self.version, self.format) = (agreed.version, agreed.format);
        self.client_max = agreed.client_max;
        let answered = self.config.answer(agreed, &mut self.out);
        answered.map_err(|error| Status::internal(error.to_string()))
    }

    /// Handles a frame and returns the call that it starts, if any. An error ends the connection.
    pub(super) fn handle(
        &mut self,
        now: Millis,
        frame: Frame<'_>,
        arrival: Arrival,
        turn: &Turn,
    ) -> Result<Option<Accepted>, Status> {
        match frame {
            Frame::Request(request) => return self.request(now, &request, arrival, turn),
            Frame::Ping(number) => self.push(&Frame::Pong(number)),
            Frame::Hello(_) | Frame::Reply(_) | Frame::GoAway(_) => {
                return Err(Status::invalid_argument("a frame that only a server may send now"));
            }
            // Cancels were handled on arrival. Messages belong to streams, which were refused. Unknown kinds may be
            // skipped.
            _ => {}
        }
        Ok(None)
    }

    fn request(
        &mut self,
        now: Millis,
        request: &Request<'_>,
        arrival: Arrival,
        turn: &Turn,
    ) -> Result<Option<Accepted>, Status> {
        if request.id <= self.last {
            return Err(Status::invalid_argument("call ids do not increase"));
        }
        self.last = request.id;
        if arrival.cancelled {
            return Ok(None);
        }
        if let Some(status) = self.refusal(request, turn) {
            write_failed(&mut self.out, request.id, &status, true, self.client_max);
            return Ok(None);
        }
        let max_frame = self.client_max.min(self.config.limits.reply_bytes.max(MIN_FRAME));
        let deadline = request.time_left.and_then(|left| deadline(arrival.at, left));
        let (id, version, format) = (request.id, self.version, self.format);
        let call = CallHead { id, version, format, max_frame, deadline };
        let Some(method) = self.config.methods.find(request.method) else {
            let why = format!("service {} has no method {}", self.config.service, request.method);
            call.fail(&Status::unimplemented(why), &mut self.out);
            return Ok(None);
        };
        if let Some(at) = deadline {
            let (left, waited) = (at.since(now), now.since(arrival.at));
            if left == Millis(0) {
                call.fail(&too_late(), &mut self.out);
                return Ok(None);
            }
            // A call that has not waited is tried, so that the usual time can improve.
            if waited > BEHIND && Duration::from(left) < 2 * self.config.methods.usual(method) {
                write_failed(&mut self.out, request.id, &no_time(left), true, self.client_max);
                return Ok(None);
            }
        }
        self.retire |= self.config.quota.as_ref().is_some_and(|quota| quota.spend());
        let metadata = (!request.metadata.is_empty()).then(|| Arc::new(request.metadata.to_owned()));
        Ok(Some(Accepted { call, method, metadata, argument_bytes: request.payload.len() }))
    }

    /// Returns the reason to refuse a request, if there is one.
    fn refusal(&self, request: &Request<'_>, turn: &Turn) -> Option<Status> {
        if self.draining {
            return Some(leaving());
        }
        if request.more {
            return Some(Status::unimplemented("streams are not part of version 1"));
        }
        let limits = &self.config.limits;
        if !self.running.is_empty() && self.argument_bytes + request.payload.len() > limits.argument_bytes {
            let limit = limits.argument_bytes;
            let why = format!("{limit} bytes of arguments in flight on this connection");
            return Some(Status::resource_exhausted(why));
        }
        let (limit, whose) = match turn.full {
            _ if self.running.len() >= limits.in_flight_per_connection => {
                (limits.in_flight_per_connection, "on this connection")
            }
            Some(Full::Server(limit)) => (limit, "on this server"),
            Some(Full::Peer(limit)) => (limit, "from this address"),
            None => return None,
        };
        Some(Status::resource_exhausted(format!("{limit} calls in flight {whose}")))
    }

    /// Adds a call that did not end at its first poll.
    pub(super) fn run(&mut self, accepted: Accepted, task: T) {
        let Accepted { call: CallHead { id, deadline, .. }, argument_bytes, .. } = accepted;
        self.argument_bytes += argument_bytes;
        self.deadlines.extend(deadline.map(|at| (at, id)));
        self.running.insert(id, RunningCall { task, argument_bytes, deadline });
    }

    /// Aborts a call without a reply, if it runs.
    pub(super) fn cancel(&mut self, id: CallId) {
        let task = self.end(id);
        self.aborted.extend(task);
    }

    /// Aborts the calls whose deadline has come, with a reply. Returns false if there are none.
    pub(super) fn expire(&mut self, now: Millis) -> bool {
        let mut any = false;
        while let Some(&(_, id)) = self.deadlines.first().filter(|(at, _)| *at <= now) {
            write_failed(&mut self.out, id, &too_late(), false, self.client_max);
            self.cancel(id);
            any = true;
        }
        any
    }

    /// Aborts all running calls without replies.
    pub(super) fn abort_all(&mut self) {
        self.aborted.extend(mem::take(&mut self.running).into_values().map(|call| call.task));
        self.deadlines.clear();
        self.argument_bytes = 0;
    }

    /// Takes the replies of calls that have ended elsewhere. Replies of aborted calls are dropped.
    pub(super) fn collect(&mut self, replies: Replies) {
        let Replies { mut frames, ended } = replies;
        let (mut at, mut kept) = (0, 0);
        for ended in ended {
            if self.end(ended.id).is_some() {
                if kept != at {
                    frames.copy_within(at..at + ended.len, kept);
                }
                kept += ended.len;
            }
            at += ended.len;
        }
        frames.truncate(kept);
        if self.out.is_empty() {
            self.out = frames;
        } else {
            self.out.append(&mut frames);
        }
    }

    fn end(&mut self, id: CallId) -> Option<T> {
        let RunningCall { task, argument_bytes, deadline } = self.running.remove(&id)?;
        self.argument_bytes -= argument_bytes;
        if let Some(at) = deadline {
            self.deadlines.remove(&(at, id));
        }
        Some(task)
    }

    /// Returns the sum of the lengths of the arguments of running calls.
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
        self.draining && self.running.is_empty()
    }

    /// Tells the client that new calls are refused.
    pub(super) fn say_draining(&mut self) {
        self.go_away(&leaving());
    }

    pub(super) fn go_away(&mut self, status: &Status) {
        let message = cut(&status.message, self.client_max - HEADER_LEN);
        self.push(&Frame::GoAway(GoAway { last: self.last, code: status.code, message }));
    }

    fn push(&mut self, frame: &Frame<'_>) {
        // Control frames are shorter than the smallest limit that a client may name.
        let _ = frame.encode(&mut self.out, self.client_max);
    }
}

/// Returns a call's deadline. The time of arrival is rounded down, so a millisecond is added: a deadline is never early.
fn deadline(arrived: Millis, left: Duration) -> Option<Millis> {
    let at = match Millis::from(left) {
        Millis(0) => arrived,
        left => arrived + left + Millis(1),
    };
    // A deadline beyond the range of the clock never comes.
    (at < Millis(u64::MAX)).then_some(at)
}
