//! The methods of a service as a service of tower: what layers are put around.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rpc_wire::{Format, Status};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Service as TowerService, ServiceExt};

use super::failure::status_of;
use super::request::{Body, Request, Response};
use crate::handler::{PollMessage, PollReply, Running};
use crate::service::Handlers;

/// The methods of a service, with the layers that are inside. Cheap to clone.
#[derive(Clone)]
pub struct Route(Inside);

#[derive(Clone)]
enum Inside {
    Methods(Arc<Handlers>),
    Layered(BoxCloneSyncService<Request, Response, Status>),
}

/// Future of a [`Route`].
pub struct RouteFuture(State);

enum State {
    Refused(Status),
    Replying { handler: Pin<Box<dyn PollReply + Send>>, format: Format, out: Vec<u8> },
    Opened(Box<dyn PollMessage + Send>),
    Layered(Pin<Box<dyn Future<Output = Result<Response, Status>> + Send>>),
    Done,
}

impl Route {
    pub(super) fn new(handlers: Handlers) -> Self {
        Self(Inside::Methods(Arc::new(handlers)))
    }

    /// Makes one of the service that a layer has made.
    pub(super) fn layered<S>(service: S) -> Self
    where
        S: TowerService<Request, Response = Response> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
    {
        let service = service.map_err(|error: S::Error| status_of(error.into()));
        Self(Inside::Layered(BoxCloneSyncService::new(service)))
    }
}

impl State {
    fn of(handlers: &Handlers, request: &Request) -> Self {
        let Some((_, handler)) = handlers.get(request.context().method()) else {
            return Self::Refused(Status::unimplemented("no such method"));
        };
        match handler(request.opening()) {
            Ok(running) => {
                request.context().reach_handler();
                match running {
                    Running::Reply(handler) => {
                        Self::Replying { handler, format: request.format(), out: Vec::new() }
                    }
                    Running::Messages(messages) => Self::Opened(messages),
                }
            }
            Err(status) => Self::Refused(status),
        }
    }
}

impl TowerService<Request> for Route {
    type Response = Response;
    type Error = Status;
    type Future = RouteFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        match &mut self.0 {
            Inside::Methods(_) => Poll::Ready(Ok(())),
            Inside::Layered(service) => service.poll_ready(cx),
        }
    }

    fn call(&mut self, request: Request) -> RouteFuture {
        RouteFuture(match &mut self.0 {
            Inside::Methods(handlers) => State::of(handlers, &request),
            Inside::Layered(service) => State::Layered(service.call(request)),
        })
    }
}

impl Future for RouteFuture {
    type Output = Result<Response, Status>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Replying { handler, format, out } = &mut self.0 {
            let result = ready!(handler.as_mut().poll_reply(cx, *format, out));
            let payload = std::mem::take(out);
            self.0 = State::Done;
            return Poll::Ready(result.map(|()| Response(Body::Result(payload))));
        }
        if let State::Layered(layered) = &mut self.0 {
            return layered.as_mut().poll(cx);
        }
        match std::mem::replace(&mut self.0, State::Done) {
            State::Refused(status) => Poll::Ready(Err(status)),
            State::Opened(messages) => Poll::Ready(Ok(Response(Body::Messages(messages)))),
            // Polled again after its end, against the rules of futures.
            State::Replying { .. } | State::Layered(_) | State::Done => Poll::Pending,
        }
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route").finish_non_exhaustive()
    }
}

impl fmt::Debug for RouteFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteFuture").finish_non_exhaustive()
    }
}
