//! Settings and limits that all connections share.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use axum::Router;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::controller::Made;
use crate::error::ApiError;
use crate::event_streams::{EventStreamCounts, EventStreamPlace, EventStreams};
use crate::places::Places;
use crate::settings::Settings;

/// Maximum number of restores at a time; others wait before their bodies are read.
const MAX_RESTORES: usize = 2;

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
    /// Turns of restores: each holds a whole snapshot.
    restores: Arc<Semaphore>,
    event_streams: EventStreams,
}

impl Shared {
    pub(crate) fn new(settings: Settings) -> Self {
        let event_streams = settings.max_event_streams.min(settings.max_connections / 2).max(1);
        Self {
            places: Places::new(settings.max_connections),
            requests: AtomicU64::new(0),
            event_streams: EventStreams::new(event_streams),
            full: OnceLock::new(),
            made: Made::default(),
            restores: Arc::new(Semaphore::new(MAX_RESTORES)),
            settings,
        }
    }

    /// Returns the counts of the event streams that are open.
    pub(crate) fn event_streams(&self) -> EventStreamCounts {
        self.event_streams.counts()
    }

    /// Takes a place of an event stream, until it is dropped.
    ///
    /// # Errors
    /// 503 if all are taken.
    pub(crate) fn event_stream(&self) -> Result<EventStreamPlace, ApiError> {
        self.event_streams.enter().ok_or_else(|| {
            let message = "there are too many event streams; close one, or raise the limit (Settings::max_event_streams)";
            ApiError::unavailable(message)
        })
    }

    /// Waits for the turn of a restore, which lasts until it is dropped.
    pub(crate) async fn restore_turn(&self) -> Option<OwnedSemaphorePermit> {
        // Nobody closes it.
        Arc::clone(&self.restores).acquire_owned().await.ok()
    }
}
