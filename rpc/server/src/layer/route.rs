//! The methods of a service, or of all services of a server, as a service of tower: what layers are put around.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rpc_wire::{Format, Status};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Service as TowerService, ServiceExt};

use super::failure::status_of;
use super::request::{Body, Request, Response};
use crate::context::Context as CallContext;
use crate::handler::{Handlers, PollMessage, PollReply, Running};

/// Methods of a service, or of all services of a server, with the layers that are inside. Cheap to clone.
#[derive(Clone)]
pub struct Route(Inside);

#[derive(Clone)]
enum Inside {
    Methods(Arc<Handlers>),
    /// Services of a server, by name.
    Services(Arc<BTreeMap<String, Route>>),
    Layered(BoxCloneSyncService<Request, Response, Status>),
}

/// Future of a [`Route`].
pub struct RouteFuture(Progress);

enum Progress {
    Refused(Status),
    Replying { handler: Pin<Box<dyn PollReply + Send>>, context: CallContext, format: Format, out: Vec<u8> },
    Opened(Box<dyn PollMessage + Send>),
    Layered(Pin<Box<dyn Future<Output = Result<Response, Status>> + Send>>),
    Done,
}

impl Route {
    pub(crate) fn new(handlers: Handlers) -> Self {
        Self(Inside::Methods(Arc::new(handlers)))
    }

    /// Makes one that calls these services by the name of the request's.
    pub(super) fn of_services(services: BTreeMap<String, Self>) -> Self {
        Self(Inside::Services(Arc::new(services)))
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

impl Progress {
    fn of_services(services: &BTreeMap<String, Route>, request: Request) -> Self {
        match services.get(request.context().service()).map(|route| &route.0) {
            Some(Inside::Methods(handlers)) => Self::of(handlers, &request),
            // Each call has a clone of the service, which has to be ready first.
            Some(Inside::Layered(service)) => Self::Layered(Box::pin(service.clone().oneshot(request))),
            Some(Inside::Services(_)) | None => Self::Refused(Status::unimplemented("no such service")),
        }
    }

    fn of(handlers: &Handlers, request: &Request) -> Self {
        let Some(handler) = handlers.get(request.context().method()) else {
            return Self::Refused(Status::unimplemented("no such method"));
        };
        match handler(request.opening()) {
            Ok(running) => {
                request.context().reach_handler();
                match running {
                    Running::Reply(handler) => {
                        let (context, format) = (request.context().clone(), request.format());
                        Self::Replying { handler, context, format, out: Vec::new() }
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
            Inside::Methods(_) | Inside::Services(_) => Poll::Ready(Ok(())),
            Inside::Layered(service) => service.poll_ready(cx),
        }
    }

    fn call(&mut self, request: Request) -> RouteFuture {
        RouteFuture(match &mut self.0 {
            Inside::Methods(handlers) => Progress::of(handlers, &request),
            Inside::Services(services) => Progress::of_services(services, request),
            Inside::Layered(service) => Progress::Layered(service.call(request)),
        })
    }
}

impl Future for RouteFuture {
    type Output = Result<Response, Status>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Progress::Replying { handler, context, format, out } = &mut self.0 {
            let result = ready!(handler.as_mut().poll_reply(cx, *format, out));
            let result = result.map_err(|error| context.answer(error));
            let payload = std::mem::take(out);
            self.0 = Progress::Done;
            return Poll::Ready(result.map(|()| Response(Body::Result(payload))));
        }
        if let Progress::Layered(layered) = &mut self.0 {
            return layered.as_mut().poll(cx);
        }
        match std::mem::replace(&mut self.0, Progress::Done) {
            Progress::Refused(status) => Poll::Ready(Err(status)),
            Progress::Opened(messages) => Poll::Ready(Ok(Response(Body::Messages(messages)))),
            // Polled again after its end, against the rules of futures.
            Progress::Replying { .. } | Progress::Layered(_) | Progress::Done => Poll::Pending,
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
