//! The calls of a client as a service of tower: what layers are put around.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use tokio::time::Instant;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Layer, Service, ServiceExt};

use super::failure::error_of;
use super::request::{Body, Request, Response};
use crate::attempts::{self, Attempts, Outgoing};
use crate::error::Error;
use crate::explain::CLOCK_SLACK;
use crate::shared::Shared;
use crate::stream::Opening;

/// The calls of a client, with the layers that are inside. Cheap to clone.
#[derive(Clone)]
pub struct Calls {
    /// Name of the service, for errors.
    name: Arc<str>,
    inside: Inside,
}

#[derive(Clone)]
enum Inside {
    Attempts(Arc<Shared>),
    Layered(BoxCloneSyncService<Request, Response, Error>),
}

/// Future of a call.
pub type CallsFuture = Pin<Box<dyn Future<Output = Result<Response, Error>> + Send>>;

/// Layer without its type.
pub(crate) type Wrap = Box<dyn FnOnce(Calls) -> Calls + Send>;

impl Calls {
    /// Makes the calls of a client without layers.
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { name: shared.config.service.as_str().into(), inside: Inside::Attempts(shared) }
    }

    /// Makes a call or opens a stream, which ends with its deadline even if a layer holds it up.
    pub(crate) async fn make(&self, shared: &Shared, request: Request) -> Result<Response, Error> {
        let (method, left) = (request.method.clone(), Arc::clone(&request.left));
        let deadline = attempts::deadline(shared, shared.clock.at(request.begun), request.deadline);
        let late = async {
            shared.clock.sleep_until(Some(deadline)).await;
            let sent = left.load(Ordering::Relaxed);
            if sent {
                // It has the same deadline, and tells more.
                shared.clock.sleep_until(Some(deadline + CLOCK_SLACK)).await;
            }
            sent
        };
        tokio::select! {
            biased;
            answer = self.clone().oneshot(request) => answer,
            sent = late => Err(Error::Deadline { service: shared.config.service.clone(), method, sent }),
        }
    }

    /// Puts a layer around these calls.
    pub(super) fn layered<L>(self, layer: &L) -> Self
    where
        L: Layer<Self>,
        L::Service: Service<Request, Response = Response> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Error: Into<BoxError>,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        let name = Arc::clone(&self.name);
        let named = Named { name: Arc::clone(&name), service: layer.layer(self) };
        Self { name, inside: Inside::Layered(BoxCloneSyncService::new(named)) }
    }
}

impl Service<Request> for Calls {
    type Response = Response;
    type Error = Error;
    type Future = CallsFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        match &mut self.inside {
            Inside::Attempts(_) => Poll::Ready(Ok(())),
            Inside::Layered(service) => service.poll_ready(cx),
        }
    }

    fn call(&mut self, request: Request) -> CallsFuture {
        let shared = match &mut self.inside {
            Inside::Attempts(shared) => Arc::clone(shared),
            Inside::Layered(service) => return service.call(request),
        };
        Box::pin(async move {
            request.left.store(true, Ordering::Relaxed);
            let deadline = attempts::deadline(&shared, shared.clock.at(request.begun), request.deadline);
            if let Some(kept) = request.kept {
                let mut opening = Opening::new(kept, &request.method, request.kind, deadline);
                (opening.payload, opening.metadata) = (request.payload, request.metadata);
                (opening.key, opening.patience) = (request.key, request.patience);
                return Ok(Response(Body::Stream(Box::new(opening.begin().await?))));
            }
            let call = Outgoing {
                method: &request.method,
                metadata: request.metadata.as_ref(),
                payload: &request.payload,
                idempotent: request.idempotent,
                key: request.key,
                patience: request.patience,
                hedge: request.hedge,
            };
            let begun = Instant::now();
            let begun = (shared.clock.at(begun), begun);
            let answered = Attempts::new(&shared, call, deadline, begun).run().await?;
            Ok(Response(Body::Answer(answered)))
        })
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls").field("service", &self.name).finish_non_exhaustive()
    }
}

/// Service of a layer whose errors become those of the call.
#[derive(Clone)]
struct Named<S> {
    name: Arc<str>,
    service: S,
}

impl<S> Service<Request> for Named<S>
where
    S: Service<Request, Response = Response>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Error;
    type Future = CallsFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        // The service is asked before it is told the method.
        self.service.poll_ready(cx).map_err(|error| error_of(error.into(), &self.name, String::new(), false))
    }

    fn call(&mut self, request: Request) -> CallsFuture {
        let (name, method, left) =
            (Arc::clone(&self.name), request.method.clone(), Arc::clone(&request.left));
        let answering = self.service.call(request);
        Box::pin(async move {
            let answer = answering.await;
            answer.map_err(|error| error_of(error.into(), &name, method, left.load(Ordering::Relaxed)))
        })
    }
}
