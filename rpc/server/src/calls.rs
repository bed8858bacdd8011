//! The calls of one connection: started, refused, cancelled, answered.

use crate::{
    Context,
    call::{Call, cut, drop_quietly, panicked, too_late, write_failed},
    clock,
    connection::{End, Shared},
    hello::MIN_FRAME,
    input::Arrival,
    log::say,
    outbox::Outbox,
    peers::{InFlight, Seat},
};
use rpc_wire::{CallId, Code, Format, Frame, GoAway, HEADER_LEN, Hello, Request, Status};
use std::{
    collections::HashMap,
    mem,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task,
    time::Duration,
};
use tokio::{task::AbortHandle, time::Instant};

/// What frames do to calls, and the frames that come of it, in `out`.
pub(crate) struct Calls {
    /// Encoded frames that the connection is to write.
    pub(crate) out: Vec<u8>,
    shared: Arc<Shared>,
    seat: Arc<Seat>,
    peer: SocketAddr,
    format: Format,
    /// The largest frame body that the client takes.
    client_max: usize,
    /// The id of the last request; ids increase.
    last: CallId,
    /// Calls that have not ended at their first poll, each on a task of its own.
    running: HashMap<CallId, Task>,
    /// Bytes of their arguments.
    argument_bytes: usize,
    outbox: Arc<Outbox>,
    draining: bool,
}

/// A call that has not ended at its first poll.
struct Task {
    abort: AbortHandle,
    argument_bytes: usize,
}

impl Calls {
    pub(crate) fn new(shared: Arc<Shared>, seat: Arc<Seat>, peer: SocketAddr) -> Self {
        let outbox = Arc::new(Outbox::new(seat.clone(), shared.limits.reply_bytes));
        Self {
            out: Vec::new(),
            shared,
            seat,
            peer,
            format: Format::default(),
            client_max: MIN_FRAME,
            last: CallId(0),
            running: HashMap::new(),
            argument_bytes: 0,
            outbox,
            draining: false,
        }
    }

    /// The handshake is agreed on; `hello` is the answer.
    pub(crate) fn greeted(&mut self, hello: &Hello<'_>, client_max: usize) -> Result<(), End> {
        self.format = hello.format;
        self.client_max = client_max;
        let encoded = Frame::Hello(*hello).encode(&mut self.out, client_max);
        encoded.map_err(|error| End::refused(Code::INTERNAL, &error))
    }

    /// `now` is moved on by what the frame takes.
    pub(crate) fn handle(
        &mut self,
        frame: Frame<'_>,
        arrival: Arrival,
        now: &mut Instant,
        cx: &mut task::Context<'_>,
    ) -> Result<(), End> {
        match frame {
            Frame::Request(request) => return self.request(&request, arrival, now, cx),
            Frame::Ping(number) => self.push(&Frame::Pong(number)),
            Frame::Hello(_) | Frame::Reply(_) | Frame::GoAway(_) => {
                return Err(End::refused(Code::INVALID_ARGUMENT, "a frame that only a server may send now"));
            }
            // A cancel was heard when it arrived. Messages belong to streams that were refused; the rest may be
            // skipped by definition.
            _ => {}
        }
        Ok(())
    }

    fn request(
        &mut self,
        request: &Request<'_>,
        arrival: Arrival,
        now: &mut Instant,
        cx: &mut task::Context<'_>,
    ) -> Result<(), End> {
        if request.id <= self.last {
            return Err(End::refused(Code::INVALID_ARGUMENT, "call ids do not increase"));
        }
        self.last = request.id;
        if arrival.cancelled {
            return Ok(());
        }
        if let Some(status) = self.refusal(request) {
            write_failed(&mut self.out, request.id, &status, true, self.client_max);
            return Ok(());
        }
        // A deadline beyond what a clock can say is none.
        let deadline = request.time_left.and_then(|left| arrival.at.checked_add(left));
        let max_frame = self.client_max.min(self.shared.limits.reply_bytes.max(MIN_FRAME));
        let call = Call { id: request.id, format: self.format, max_frame, deadline };
        let method = match self.shared.service.method(request.method) {
            Ok(method) => method,
            Err(status) => {
                call.fail(&status, &mut self.out);
                return Ok(());
            }
        };
        if let Some(at) = deadline {
            let (left, waited) =
                (at.saturating_duration_since(*now), now.saturating_duration_since(arrival.at));
            if left.is_zero() {
                call.fail(&too_late(), &mut self.out);
                return Ok(());
            }
            // One that has not waited shows how long it takes now.
            if waited > BEHIND && left < 2 * method.usual() {
                write_failed(&mut self.out, request.id, &no_time(left), true, self.client_max);
                return Ok(());
            }
        }
        if let Some(quota) = &self.shared.quota {
            quota.spend();
        }
        let context = Context { deadline, peer: self.peer };
        let started = catch_unwind(AssertUnwindSafe(|| method.start(request.payload, self.format, context)));
        match started.unwrap_or_else(|_| Err(panicked())) {
            Err(status) => call.fail(&status, &mut self.out),
            Ok(mut running) => {
                // Most handlers are ready at once: no task, no reply buffer of their own.
                if call.poll(&mut running, cx, &mut self.out).is_pending() {
                    let in_flight = InFlight::new(&self.seat);
                    let abort = call.spawn(running, self.outbox.clone(), in_flight);
                    let argument_bytes = request.payload.len();
                    self.running.insert(request.id, Task { abort, argument_bytes });
                    self.argument_bytes += argument_bytes;
                } else {
                    drop_quietly(running);
                }
            }
        }
        let began = mem::replace(now, clock::now());
        method.took(now.saturating_duration_since(began));
        Ok(())
    }

    /// Why a request is not run, if it is not.
    fn refusal(&self, request: &Request<'_>) -> Option<Status> {
        if self.draining {
            return Some(leaving());
        }
        if request.more {
            return Some(Status::unimplemented("streams are not part of version 1"));
        }
        let limits = &self.shared.limits;
        if !self.running.is_empty() && self.argument_bytes + request.payload.len() > limits.argument_bytes {
            let limit = limits.argument_bytes;
            let why = format!("{limit} bytes of arguments in flight on this connection");
            return Some(Status::resource_exhausted(why));
        }
        let limit = limits.in_flight_per_connection;
        let full = self.running.len() >= limit;
        let full = if full { Some((limit, "on this connection")) } else { self.seat.no_call() };
        full.map(|(limit, whose)| Status::resource_exhausted(format!("{limit} calls in flight {whose}")))
    }

    /// The client has given a call up, which may be running.
    pub(crate) fn cancel(&mut self, id: CallId) {
        if let Some(call) = self.end(id) {
            call.abort.abort();
        }
    }

    /// Ends everything that runs, without a reply.
    pub(crate) fn cancel_all(&mut self) {
        for (_, call) in self.running.drain() {
            call.abort.abort();
        }
        self.argument_bytes = 0;
    }

    fn end(&mut self, id: CallId) -> Option<Task> {
        let ended = self.running.remove(&id);
        self.argument_bytes -= ended.as_ref().map_or(0, |call| call.argument_bytes);
        ended
    }

    /// Bytes of the arguments of calls that run.
    pub(crate) fn argument_bytes(&self) -> usize {
        self.argument_bytes
    }

    /// Returns true if nothing runs.
    pub(crate) fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// Collects the replies of calls that have ended on their own tasks; false if there are none.
    pub(crate) fn take_replies(&mut self) -> bool {
        let ended = self.outbox.take(&mut self.out);
        for id in &ended {
            self.end(*id);
        }
        !ended.is_empty()
    }

    /// Says how much of the replies has not been written. Returns the bytes that have not been collected.
    pub(crate) fn unsent(&self, bytes: usize) -> usize {
        self.outbox.unsent(bytes)
    }

    /// Takes no more calls and says so.
    pub(crate) fn drain(&mut self) {
        self.draining = true;
        self.go_away(&leaving());
    }

    pub(crate) fn draining(&self) -> bool {
        self.draining
    }

    /// Whether a drain has nothing left to wait for.
    pub(crate) fn drained(&self) -> bool {
        self.draining && self.running.is_empty()
    }

    pub(crate) fn go_away(&mut self, status: &Status) {
        let message = cut(&status.message, self.client_max - HEADER_LEN);
        self.push(&Frame::GoAway(GoAway { last: self.last, code: status.code, message }));
    }

    fn push(&mut self, frame: &Frame<'_>) {
        // Control frames are shorter than the smallest limit.
        if frame.encode(&mut self.out, self.client_max).is_err() {
            say(|| tracing::debug!("a frame over the client's limit was left out"));
        }
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        self.cancel_all();
    }
}

fn no_time(left: Duration) -> Status {
    Status::resource_exhausted(format!(
        "the call has waited until {left:?} are left, in which it cannot be done here"
    ))
}

fn leaving() -> Status {
    Status::unavailable("the server is shutting down")
}

/// A server whose calls wait for longer is behind: it takes no call that cannot be done in time.
const BEHIND: Duration = Duration::from_millis(1);
