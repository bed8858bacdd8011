//! The status port of a server: metrics, health, and a page about the server, over HTTP.

mod page;
mod port;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use rpc_metrics::TEXT;
use rpc_metrics::http::Answer;

use crate::shared::Shared;

pub(crate) use port::StatusPort;

/// Content of a status port.
pub(crate) struct Status {
    shared: Arc<Shared>,
    draining: AtomicBool,
}

impl Status {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, draining: AtomicBool::new(false) }
    }

    /// Says from now on that the server drains.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Relaxed);
    }

    /// Answers a request.
    fn answer(&self, path: &str) -> Answer {
        let is_draining = self.draining.load(Relaxed);
        let metrics = || self.shared.session.metrics.snapshot();
        match path {
            "/" => page::page(&self.shared.session, &metrics(), is_draining),
            "/metrics" => Answer { status: 200, content_type: TEXT, body: metrics().to_text() },
            "/health" if is_draining => Answer::text(503, "NOT_SERVING\n"),
            "/health" => Answer::text(200, "SERVING\n"),
            _ => Answer::not_found(),
        }
    }
}
