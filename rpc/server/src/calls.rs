//! The calls of one connection: started, refused, cancelled, answered.

use crate::{
    Context,
    call::{Call, InFlight, panicked, too_late, write_failed},
    connection::{End, MIN_FRAME, Shared},
    outbox::Outbox,
};
use rpc_wire::{CallId, Code, Format, Frame, GoAway, Hello, Request, Status};
use std::{
    collections::HashMap,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
    task::{self, Poll},
};
use tokio::{task::AbortHandle, time::Instant};

/// What frames do to calls, and the frames that come of it, in `out`.
pub(crate) struct Calls {
    /// Encoded frames that the connection is to write.
    pub(crate) out: Vec<u8>,
    shared: Arc<Shared>,
    peer: SocketAddr,
    format: Format,
    /// The largest frame body that the client takes.
    client_max: usize,
    /// The id of the last request ; ids increase.
    last: CallId,
    /// Calls that have not ended at their first poll, each on a task of its own.
    running: HashMap<CallId, AbortHandle>,
    outbox: Arc<Outbox>,
    draining: bool,
}

impl Calls {
    pub(crate) fn new(shared: Arc<Shared>, peer: SocketAddr) -> Self {
        Self {
            out: Vec::new(),
            shared,
            peer,
            format: Format::default(),
            client_max: MIN_FRAME,
            last: CallId(0),
            running: HashMap::new(),
            outbox: Arc::default(),
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

    pub(crate) fn handle(
        &mut self,
        frame: Frame<'_>,
        arrived: Instant,
        now: Instant,
        cx: &mut task::Context<'_>,
    ) -> Result<(), End> {
        match frame {
            Frame::Request(request) => return self.request(&request, arrived, now, cx),
            Frame::Cancel(id) => {
                if let Some(call) = self.running.remove(&id) {
                    call.abort();
                }
            }
            Frame::Ping(number) => self.push(&Frame::Pong(number)),
            Frame::Hello(_) | Frame::Reply(_) | Frame::GoAway(_) => {
                return Err(End::refused(Code::INVALID_ARGUMENT, "a frame that only a server may send now"));
            }
            // Messages belong to streams that were refused; the rest may be skipped by definition.
            _ => {}
        }
        Ok(())
    }

    fn request(
        &mut self,
        request: &Request<'_>,
        arrived: Instant,
        now: Instant,
        cx: &mut task::Context<'_>,
    ) -> Result<(), End> {
        if request.id <= self.last {
            return Err(End::refused(Code::INVALID_ARGUMENT, "call ids do not increase"));
        }
        self.last = request.id;
        if let Some(status) = self.refusal(request) {
            write_failed(&mut self.out, request.id, &status, true, self.client_max);
            return Ok(());
        }
        // A deadline beyond what a clock can say is none.
        let deadline = request.time_left.and_then(|left| arrived.checked_add(left));
        let call = Call { id: request.id, format: self.format, max_frame: self.client_max, deadline };
        if deadline.is_some_and(|at| at <= now) {
            call.fail(&too_late(), &mut self.out);
            return Ok(());
        }
        if let Some(quota) = &self.shared.quota {
            quota.spend();
        }
        let context = Context { deadline, peer: self.peer };
        let started = catch_unwind(AssertUnwindSafe(|| {
            self.shared.service.start(request.method, request.payload, self.format, context)
        }));
        match started.unwrap_or_else(|_| Err(panicked())) {
            Err(status) => call.fail(&status, &mut self.out),
            Ok(mut running) => {
                // Most handlers are ready at once: no task, no reply buffer of their own.
                if call.poll(&mut running, cx, &mut self.out) == Poll::Pending {
                    let in_flight = InFlight::new(&self.shared.in_flight);
                    let task = call.spawn(running, self.outbox.clone(), in_flight);
                    self.running.insert(request.id, task);
                }
            }
        }
        Ok(())
    }

    /// Why a request is not run, if it is not.
    fn refusal(&self, request: &Request<'_>) -> Option<Status> {
        let limits = &self.shared.limits;
        if self.draining {
            return Some(leaving());
        }
        if request.more {
            return Some(Status::unimplemented("streams are not part of version 1"));
        }
        if self.running.len() >= limits.in_flight_per_connection {
            let limit = limits.in_flight_per_connection;
            return Some(Status::resource_exhausted(format!("{limit} calls in flight on this connection")));
        }
        if self.shared.in_flight.load(Ordering::Relaxed) >= limits.in_flight {
            let limit = limits.in_flight;
            return Some(Status::resource_exhausted(format!("{limit} calls in flight on this server")));
        }
        None
    }

    pub(crate) fn outbox(&self) -> Arc<Outbox> {
        self.outbox.clone()
    }

    /// Collects the replies of calls that have ended on their own tasks.
    pub(crate) fn take_replies(&mut self) {
        for id in self.outbox.take(&mut self.out) {
            self.running.remove(&id);
        }
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
        self.push(&Frame::GoAway(GoAway { last: self.last, code: status.code, message: &status.message }));
    }

    fn push(&mut self, frame: &Frame<'_>) {
        // Control frames are shorter than the smallest limit, but for a go-away that quotes the client.
        if frame.encode(&mut self.out, self.client_max).is_err() {
            tracing::debug!("a frame over the client's limit was left out");
        }
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        for call in self.running.values() {
            call.abort();
        }
    }
}

fn leaving() -> Status {
    Status::unavailable("the server is shutting down")
}
