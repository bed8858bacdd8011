//! Layers around all services of a server.

use std::fmt;

use tower::{BoxError, Layer, Service as TowerService};

use super::layered;
use super::request::{Request, Response};
use super::route::Route;
use crate::service::Service;

/// Layers around a server, the innermost first.
#[derive(Default)]
pub(crate) struct ServerLayers(Vec<PutAround>);

/// Puts a layer around what is inside.
type PutAround = Box<dyn FnOnce(Route) -> Route + Send>;

impl ServerLayers {
    /// Adds a layer around those that are there.
    pub(crate) fn push<L>(&mut self, layer: L)
    where
        L: Layer<Route> + Send + 'static,
        L::Service: TowerService<Request, Response = Response> + Clone + Send + Sync + 'static,
        <L::Service as TowerService<Request>>::Error: Into<BoxError>,
        <L::Service as TowerService<Request>>::Future: Send + 'static,
    {
        self.0.push(Box::new(move |inside| Route::layered(layer.layer(inside))));
    }

    /// Puts the layers around these services.
    pub(crate) fn put_around(self, services: Vec<Service>) -> Vec<Service> {
        if self.0.is_empty() {
            return services;
        }
        let as_routes = |service: Service| service.put_around(|route| route, layered::handler);
        let services: Vec<_> = services.into_iter().map(as_routes).collect();
        let routes =
            services.iter().filter_map(|service| Some((service.name().to_owned(), service.route()?.clone())));
        let inside = Route::of_services(routes.collect());
        let route = self.0.into_iter().fold(inside, |inside, put_around| put_around(inside));
        let layered = |service: Service| service.put_around(|_| route.clone(), layered::handler);
        services.into_iter().map(layered).collect()
    }
}

impl fmt::Debug for ServerLayers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServerLayers").field(&self.0.len()).finish()
    }
}
