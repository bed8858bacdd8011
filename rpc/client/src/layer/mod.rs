//! Layers of tower around the calls of a client: limits, authentication, tracing.
//!
//! Layers see a call after its argument is encoded and before an instance is chosen: retries and balancing are inside them.

mod calls;
mod failure;
mod request;

pub use calls::{Calls, CallsFuture};
pub use request::{Request, Response};
pub use rpc_wire::MethodKind;

pub(crate) use calls::Wrap;
pub(crate) use failure::foreign_response;
pub(crate) use request::Body;

use tower::{BoxError, Layer, Service};

use crate::builder::ClientBuilder;

impl ClientBuilder {
    /// Puts a layer of tower around all calls; the last one that is added is the outermost.
    ///
    /// Of a stream, layers see the opening: its response is there once the request is sent, its messages follow, and a limit of
    /// concurrency counts it no longer. If an instance refuses the stream before it runs, it is opened elsewhere without asking the layers again.
    ///
    /// The errors of tower's own layers become those of a call ([`Error::Deadline`](crate::Error::Deadline) of a timeout,
    /// `RESOURCE_EXHAUSTED` of a load shed), a [`Status`](crate::Status) passes through, and any other error is `INTERNAL` with its
    /// text.
    ///
    /// ```
    /// use rpc_client::Client;
    /// use tower::limit::GlobalConcurrencyLimitLayer;
    /// use tower::util::MapRequestLayer;
    /// use rpc_client::layer::Request;
    ///
    /// let token = |mut request: Request| {
    ///     let _ = request.metadata.insert("authorization", "Bearer 4711");
    ///     request
    /// };
    /// let builder = Client::direct("shop", ["127.0.0.1:7000"])
    ///     .layer(MapRequestLayer::new(token))
    ///     .layer(GlobalConcurrencyLimitLayer::new(100));
    /// ```
    pub fn layer<L>(self, layer: L) -> Self
    where
        L: Layer<Calls> + Send + 'static,
        L::Service: Service<Request, Response = Response> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Error: Into<BoxError>,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        self.wrap(Box::new(move |calls: Calls| calls.layered(&layer)))
    }
}
