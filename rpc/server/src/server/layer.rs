//! Layers of tower around a server.

use tower::{BoxError, Layer, Service as TowerService};

use super::Server;
use crate::layer::{Request, Response, Route};

impl Server {
    /// Puts a layer of tower around all methods of all services, also of those that are added later; the last layer that is
    /// added is the outermost. Layers of the single services, by [`Service::layer`](crate::Service::layer), are inside.
    ///
    /// All services are within one and the same layer, so a limit in it is one for the whole server. The library's own services,
    /// `rpc.health` and `rpc.reflect`, are outside: whoever balances asks for health without a token, and also under load. Leave
    /// descriptions out with [`reflection`](Self::reflection) where strangers must not read them.
    ///
    /// Answers of a layer are those that [`Service::layer`](crate::Service::layer) describes. The example `server_layer` counts and limits.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use rpc_server::{Context, Server, Service, Status};
    /// use tower::limit::ConcurrencyLimitLayer;
    /// use tower::timeout::TimeoutLayer;
    ///
    /// let echo = |text: String, _: Context| async move { Ok::<_, Status>(text) };
    /// let shop = Service::builder("shop").method("echo", echo).build();
    /// let stock = Service::builder("stock").method("echo", echo).build();
    /// let server = Server::new(shop)
    ///     .add_service(stock)
    ///     .layer(ConcurrencyLimitLayer::new(100)) // calls of both services together
    ///     .layer(TimeoutLayer::new(Duration::from_secs(1)));
    /// ```
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<Route> + Send + 'static,
        L::Service: TowerService<Request, Response = Response> + Clone + Send + Sync + 'static,
        <L::Service as TowerService<Request>>::Error: Into<BoxError>,
        <L::Service as TowerService<Request>>::Future: Send + 'static,
    {
        self.layers.push(layer);
        self
    }
}
