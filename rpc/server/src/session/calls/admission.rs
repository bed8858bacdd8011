//! Admission of calls: a request becomes a call, or is refused with the reason.

use std::sync::Arc;
use std::time::Duration;

use common::Millis;
use rpc_metrics::Refusal;
use rpc_wire::{Code, Request, Status};

use super::{AcceptedCall, Calls};
use crate::session::message::{Full, Turn};
use crate::session::methods::{MethodId, MethodKind};
use crate::session::read_buffer::Arrival;
use crate::session::reply::{CallHead, no_time, other_kind, too_late};

/// Waiting time of a call above which the server counts as behind: it then refuses calls that cannot be done in time.
const BEHIND: Millis = Millis(1);

impl<T> Calls<T> {
    /// Handles a request. Returns the call if it may start.
    pub(super) fn request(
        &mut self,
        now: Millis,
        request: &Request<'_>,
        arrival: Arrival,
        turn: &Turn,
    ) -> Result<Option<AcceptedCall>, Status> {
        if request.id <= self.last {
            return Err(Status::invalid_argument("call ids do not increase"));
        }
        self.last = request.id;
        if arrival.cancelled {
            return Ok(None);
        }
        let call = self.head(request.id, request.time_left.and_then(|left| deadline(arrival.at, left)));
        if self.version == 1 && request.more && self.draining.is_none() {
            call.refuse_stream(&mut self.out);
            return Ok(None);
        }
        let (method, kind) = match self.admit(now, request, &call, arrival, turn) {
            Ok(admitted) => admitted,
            Err(status) => {
                call.refuse(&status, &mut self.out);
                return Ok(None);
            }
        };
        self.retire |= self.config.quota.as_ref().is_some_and(|quota| quota.spend());
        let metadata = (!request.metadata.is_empty()).then(|| Arc::new(request.metadata.to_owned()));
        let (payload_len, argument_bytes) = (request.payload.len(), argument_bytes(request));
        Ok(Some(AcceptedCall { call, method, kind, metadata, payload_len, argument_bytes }))
    }

    /// Returns the method of a request, or the reason for which it does not run.
    fn admit(
        &self,
        now: Millis,
        request: &Request<'_>,
        call: &CallHead,
        arrival: Arrival,
        turn: &Turn,
    ) -> Result<(MethodId, MethodKind), Status> {
        let (methods, metrics) = (&self.config.methods, &self.config.metrics);
        let asked = MethodKind::new(request.more, request.stream && self.version > 1);
        if let Some((why, status)) = self.refusal(request, asked, turn) {
            metrics.refuse(why);
            return Err(status);
        }
        let method = methods.find(self.service, request.method);
        let method = method.ok_or_else(|| {
            metrics.reject_unknown_method(Code::UNIMPLEMENTED.0);
            self.no_method(request.method)
        })?;
        let kind = methods.kind(method);
        if kind != asked {
            metrics.refuse(Refusal::Other);
            return Err(other_kind(request.method, kind, asked));
        }
        if let Some(at) = call.deadline {
            let (left, waited) = (at.since(now), now.since(arrival.at));
            if left == Millis(0) {
                metrics.refuse(Refusal::Late);
                return Err(too_late());
            }
            // A call that has not waited is tried, so that the usual time can improve.
            if waited > BEHIND && Duration::from(left) < 2 * methods.usual(method) {
                metrics.refuse(Refusal::Late);
                return Err(no_time(left));
            }
        }
        Ok((method, kind))
    }

    fn no_method(&self, method: &str) -> Status {
        let methods = &self.config.methods;
        Status::unimplemented(match self.service {
            Some(service) => {
                format!("service {} has no method {method}", methods.service_name(Some(service)))
            }
            None => match methods.offered().next().filter(|_| !method.contains('/')) {
                Some(one) => format!("this server has several services; name one, too, as in {one}/{method}"),
                None => format!("there is no method {method}"),
            },
        })
    }

    /// Returns the reason to refuse a request, if there is one.
    fn refusal(&self, request: &Request<'_>, asked: MethodKind, turn: &Turn) -> Option<(Refusal, Status)> {
        if let Some(why) = self.draining {
            return Some((Refusal::Draining, Status::unavailable(why)));
        }
        let limits = &self.config.limits;
        if !self.running.is_empty() && self.argument_bytes + argument_bytes(request) > limits.argument_bytes {
            let limit = limits.argument_bytes;
            let why = format!("{limit} bytes of arguments in flight on this connection");
            return Some((Refusal::Bytes, Status::resource_exhausted(why)));
        }
        let (reason, limit, whose) = match turn.full {
            _ if self.running.len() >= limits.in_flight_per_connection => {
                (Refusal::Connection, limits.in_flight_per_connection, "on this connection")
            }
            Some(Full::Server(limit)) => (Refusal::Server, limit, "on this server"),
            Some(Full::Peer(limit)) => (Refusal::Peer, limit, "from this address"),
            Some(Full::Adaptive(_) | Full::AdaptivePeer(_)) if asked != MethodKind::Unary => return None,
            Some(Full::Adaptive(limit)) => (Refusal::Overload, limit, "on this server"),
            Some(Full::AdaptivePeer(limit)) => (Refusal::Peer, limit, "from this address"),
            None => return None,
        };
        Some((reason, Status::resource_exhausted(format!("{limit} calls in flight {whose}"))))
    }
}

/// Returns the bytes that a call keeps until it has ended.
fn argument_bytes(request: &Request<'_>) -> usize {
    request.payload.len() + request.metadata.len()
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
