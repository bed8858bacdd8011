//! The status port of a server: metrics, health, and a page about the server, over HTTP.

mod page;
mod port;

use std::sync::Arc;

use rpc_metrics::TEXT;
use rpc_metrics::http::Answer;
use rpc_wire::HealthStatus;

use crate::health::Health;
use crate::shared::Shared;

pub(crate) use port::StatusPort;

/// Pages of a status port.
pub(crate) struct StatusPages {
    shared: Arc<Shared>,
    health: Health,
}

impl StatusPages {
    pub(crate) fn new(shared: Arc<Shared>, health: Health) -> Self {
        Self { shared, health }
    }

    /// Answers a request.
    fn answer(&self, path: &str) -> Answer {
        let metrics = || self.shared.session.metrics.snapshot();
        match path {
            "/" => page::page(&self.shared.session, &metrics(), self.state()),
            "/metrics" => Answer { status: 200, content_type: TEXT, body: metrics().to_text() },
            "/health" if self.is_serving() => Answer::text(200, "SERVING\n"),
            "/health" => Answer::text(503, "NOT_SERVING\n"),
            _ => Answer::not_found(),
        }
    }

    /// Returns true if the server as a whole serves, as it tells clients by `rpc.health`.
    fn is_serving(&self) -> bool {
        self.health.status("") == HealthStatus::Serving
    }

    fn state(&self) -> &'static str {
        if self.health.is_draining() {
            "draining"
        } else if self.is_serving() {
            "serving"
        } else {
            "not serving"
        }
    }
}
