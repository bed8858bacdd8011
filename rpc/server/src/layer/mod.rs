//! Layers of tower around the methods of a service, or of a whole server: limits, authentication, tracing.

mod failure;
mod layered;
mod request;
mod route;
mod server;

pub use request::{Request, Response};
pub use route::{Route, RouteFuture};
pub(crate) use server::ServerLayers;

use tower::{BoxError, Layer, Service as TowerService};

use crate::service::Service;

impl Service {
    /// Puts a layer of tower around all methods; the last one that is added is the outermost.
    ///
    /// A layer that refuses a call before its handler answers with NOT RUN. The errors of tower's own layers have their codes
    /// (`DEADLINE_EXCEEDED` of a timeout, `RESOURCE_EXHAUSTED` of a load shed), a [`Status`](crate::Status) passes through, and any
    /// other error is `INTERNAL`, with its text in the log only. A stream's response is there once its handler has started; its
    /// messages follow, and no layer sees them.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use rpc_server::{Context, Service, Status};
    /// use tower::limit::GlobalConcurrencyLimitLayer;
    /// use tower::timeout::TimeoutLayer;
    ///
    /// let echo = |text: String, _: Context| async move { Ok::<_, Status>(text) };
    /// let service = Service::builder("echo")
    ///     .method("echo", echo)
    ///     .build()
    ///     .layer(GlobalConcurrencyLimitLayer::new(100))
    ///     .layer(TimeoutLayer::new(Duration::from_secs(1)));
    /// ```
    #[must_use]
    pub fn layer<L>(self, layer: L) -> Self
    where
        L: Layer<Route>,
        L::Service: TowerService<Request, Response = Response> + Clone + Send + Sync + 'static,
        <L::Service as TowerService<Request>>::Error: Into<BoxError>,
        <L::Service as TowerService<Request>>::Future: Send + 'static,
    {
        self.put_around(|inside| Route::layered(layer.layer(inside)), layered::handler)
    }
}
