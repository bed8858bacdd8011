//! The built-in service `rpc.health`: whether calls are welcome, by service.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use rpc_wire::{HealthReport, HealthRequest, HealthStatus, Status};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::context::Context;
use crate::service::Service;

/// Longest wait of a drain for the watchers. One whose client takes no messages hears of the drain later, or never.
const TELL_TIME: Duration = Duration::from_millis(100);

/// Health of a server and of its services, as `rpc.health/check` and `rpc.health/watch` tell it to clients. Clones share it.
///
/// A server and its services serve until told otherwise. When a drain begins, none of them does, and who watches hears of it
/// before the connections close.
///
/// ```
/// use rpc_server::{HealthStatus, Server, Service};
///
/// let server = Server::new(Service::builder("shop").build());
/// let health = server.health();
/// health.set("shop", HealthStatus::NotServing); // its database is away
/// assert_eq!(health.status("shop"), HealthStatus::NotServing);
/// assert_eq!(health.status(""), HealthStatus::Serving); // the server as a whole
/// assert_eq!(health.status("bank"), HealthStatus::ServiceUnknown);
/// ```
#[derive(Clone, Debug)]
pub struct Health {
    state: Arc<watch::Sender<Statuses>>,
}

#[derive(Debug, Default)]
struct Statuses {
    /// Health by service; the empty name is the server as a whole.
    by_service: BTreeMap<String, HealthStatus>,
    /// Service that has been renamed: its earlier name, and the one that clients know.
    renamed: Option<(String, String)>,
    is_draining: bool,
}

impl Health {
    pub(crate) fn new() -> Self {
        let by_service = BTreeMap::from([(String::new(), HealthStatus::Serving)]);
        Self { state: Arc::new(watch::Sender::new(Statuses { by_service, ..Statuses::default() })) }
    }

    /// Sets the health of a service; the empty name stands for the server as a whole, which says nothing about its services.
    pub fn set(&self, service: impl Into<String>, status: HealthStatus) {
        let service = service.into();
        self.state.send_if_modified(|state| {
            let service = state.known_as(&service).to_owned();
            state.by_service.insert(service, status) != Some(status)
        });
    }

    /// Returns the health of a service.
    #[must_use]
    pub fn status(&self, service: &str) -> HealthStatus {
        let state = self.state.borrow();
        state.status(state.known_as(service))
    }

    /// Returns true once a drain has begun.
    pub(crate) fn is_draining(&self) -> bool {
        self.state.borrow().is_draining
    }

    /// Gives the health of a service to another name. Who sets it goes on by the earlier one, and clients ask by the other.
    pub(crate) fn rename(&self, service: &str, name: &str) {
        self.state.send_modify(|state| {
            if let Some(status) = state.by_service.remove(service) {
                state.by_service.insert(name.to_owned(), status);
            }
            state.renamed = Some((service.to_owned(), name.to_owned()));
        });
    }

    /// Ends the health of everything, because a drain begins. Returns when who watches has been told.
    pub(crate) async fn drain(&self) {
        self.state.send_modify(|state| state.is_draining = true);
        // Each watcher ends after its last report. Whoever is left is slow, and must not delay the drain.
        let _ = timeout(TELL_TIME, self.state.closed()).await;
    }

    /// Returns the service for clients.
    pub(crate) fn service(&self) -> Service {
        let health = self.clone();
        let check = move |request: HealthRequest, _: Context| {
            // Clients know only the present name of a service.
            let status = health.state.borrow().status(&request.service);
            async move { Ok::<_, Status>(HealthReport { status }) }
        };
        let health = self.clone();
        let watch = move |request: HealthRequest, _: Context| {
            let reports = Reports::new(health.state.subscribe(), request.service);
            async move { Ok::<_, Status>(reports) }
        };
        Service::builder("rpc.health")
            .docs("Tells whether calls are welcome.")
            .method("check", check)
            .describe("check", "Returns the health of a service; of the server as a whole for an empty name.")
            .server_stream("watch", watch)
            .describe(
                "watch",
                "Sends the health of a service now and at each change. Ends when the server drains, or its connection.",
            )
            .build()
    }
}

/// Health of a service, now and at each change.
struct Reports {
    /// Held until the last report is on its way: a drain waits for that.
    _watching: watch::Receiver<Statuses>,
    /// Wait for the next change; `None` after the last.
    next: Option<Pin<Box<dyn Future<Output = Option<Watched>> + Send>>>,
}

/// Service that is watched, and its health.
struct Watched {
    changes: watch::Receiver<Statuses>,
    service: String,
    status: HealthStatus,
}

impl Reports {
    fn new(changes: watch::Receiver<Statuses>, service: String) -> Self {
        Self { _watching: changes.clone(), next: Some(Box::pin(next_status(changes, service, None))) }
    }
}

impl Stream for Reports {
    type Item = Result<HealthReport, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(next) = &mut self.next else { return Poll::Ready(None) };
        let watched = ready!(next.as_mut().poll(cx));
        self.next = None;
        let Some(Watched { changes, service, status }) = watched else { return Poll::Ready(None) };
        self.next = Some(Box::pin(next_status(changes, service, Some(status))));
        Poll::Ready(Some(Ok(HealthReport { status })))
    }
}

/// Waits until the health is another than the last; `None` if there will be no other.
async fn next_status(
    mut changes: watch::Receiver<Statuses>,
    service: String,
    last: Option<HealthStatus>,
) -> Option<Watched> {
    loop {
        let (status, is_draining) = {
            let statuses = changes.borrow_and_update();
            (statuses.status(&service), statuses.is_draining)
        };
        if last != Some(status) {
            return Some(Watched { changes, service, status });
        }
        if is_draining || changes.changed().await.is_err() {
            return None;
        }
    }
}

impl Statuses {
    /// Returns the name by which clients know a service.
    fn known_as<'a>(&'a self, service: &'a str) -> &'a str {
        match &self.renamed {
            Some((before, now)) if before == service => now,
            _ => service,
        }
    }

    fn status(&self, service: &str) -> HealthStatus {
        match self.by_service.get(service) {
            Some(_) if self.is_draining => HealthStatus::NotServing,
            Some(status) => *status,
            None => HealthStatus::ServiceUnknown,
        }
    }
}
