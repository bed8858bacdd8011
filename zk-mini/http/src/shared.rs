//! Settings and limits that all connections share.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::controller::Made;
use crate::error::ApiError;
use crate::places::Places;
use crate::settings::Settings;

/// Settings and limits that all connections share. It holds no server, so that a server that is dropped is gone.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    /// Number of requests.
    pub(crate) requests: AtomicU64,
    /// Routes of the full face, made for the first connection.
    pub(crate) full: OnceLock<Router>,
    /// Places of connections.
    pub(crate) places: Places,
    /// Rules that the controller made.
    pub(crate) made: Made,
    event_streams: Arc<Semaphore>,
}

impl Shared {
    pub(crate) fn new(settings: Settings) -> Self {
        let event_streams = settings.max_event_streams.min(settings.max_connections / 2).max(1);
        Self {
            places: Places::new(settings.max_connections),
            event_streams: Arc::new(Semaphore::new(event_streams)),
            requests: AtomicU64::new(0),
            full: OnceLock::new(),
            made: Made::default(),
            settings,
        }
    }

    /// Takes a place of an event stream, until the permit is dropped.
    ///
    /// # Errors
    /// 503 if all are taken.
    pub(crate) fn event_stream(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        Arc::clone(&self.event_streams).try_acquire_owned().map_err(|_| {
            let message = "there are too many event streams; close one, or raise the limit (Settings::max_event_streams)";
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, message)
        })
    }
}
