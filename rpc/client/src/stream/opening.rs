//! The opening of a stream: picks a link, and tries again as long as nothing ran.

use std::sync::Arc;

use bytes::Bytes;
use common::Millis;
use rpc_wire::{Metadata, MethodKind, Status};
use tracing::Span;

use super::active::ActiveStream;
use crate::error::Error;
use crate::kept::Kept;
use crate::link::{Link, StreamWakers};
use crate::placement::{Placement, Unplaced, no_link};
use crate::pool::{LinkId, Purpose};
use crate::retry::Attempted;
use crate::session::{Ended, NewStream};
use crate::span;

/// A stream to open.
#[derive(Debug)]
pub(crate) struct Opening {
    kept: Arc<Kept>,
    method: Arc<str>,
    kind: MethodKind,
    /// Argument; empty if the client sends messages.
    pub(crate) payload: Bytes,
    pub(crate) metadata: Metadata,
    deadline: Option<Millis>,
    /// Hash of its key.
    pub(crate) key: Option<u64>,
    /// Time to wait for a link; `None` for the client's.
    pub(crate) patience: Option<Millis>,
    /// Span around the stream, from the first attempt on.
    span: Span,
    attempted: Attempted,
    /// Link of the last attempt.
    avoid: Option<LinkId>,
}

/// A stream that is open, and all that it takes to open it once more.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(super) opening: Opening,
    pub(super) stream: ActiveStream,
}

impl Opening {
    /// Prepares a stream that ends at a time; `Millis(u64::MAX)` if it has no deadline.
    pub(crate) fn new(kept: Arc<Kept>, method: &str, kind: MethodKind, deadline: Millis) -> Self {
        Self {
            kept,
            method: method.into(),
            kind,
            payload: Bytes::new(),
            metadata: Metadata::new(),
            deadline: Some(deadline).filter(|deadline| *deadline != Millis(u64::MAX)),
            key: None,
            patience: None,
            span: Span::none(),
            attempted: Attempted::default(),
            avoid: None,
        }
    }

    /// Opens the stream for the first time.
    pub(crate) async fn begin(mut self) -> Result<Opened, Error> {
        let stream = self.open().await?;
        Ok(Opened { opening: self, stream })
    }

    /// Sends the request on the best link that has room.
    pub(super) async fn open(&mut self) -> Result<ActiveStream, Error> {
        let Self { kept, method, metadata, span, attempted, .. } = self;
        if !attempted.has_begun() {
            let shared = &kept.shared;
            *span = span::begin(&shared.config.service, method);
            span::send_context(shared.context_hook.as_ref(), span, metadata);
            shared.budget.add_call();
        }
        while self.attempted.begin() {
            if self.attempted.is_retry() {
                self.kept.shared.metrics.retries.increment();
                self.pause().await;
            }
            if let Some(stream) = self.attempt().await? {
                return Ok(stream);
            }
        }
        Err(no_link(&self.kept.shared))
    }

    /// Returns true if the stream, which has ended before any message, can be opened once more.
    pub(super) fn may_retry(&mut self, stream: &ActiveStream, ended: &Ended) -> bool {
        self.avoid = Some(stream.link_id());
        let shared = &self.kept.shared;
        let time_left = self.deadline.map(|deadline| deadline.since(shared.clock.now()));
        self.attempted.may_retry(ended, false, shared.retry_limits(time_left))
    }

    async fn attempt(&self) -> Result<Option<ActiveStream>, Error> {
        let shared = &self.kept.shared;
        let deadline = self.deadline.unwrap_or(Millis(u64::MAX));
        let mut placement = Placement::new(shared, Purpose::Stream, shared.clock.now(), deadline);
        (placement.key, placement.patience) = (self.key, self.patience.unwrap_or(placement.patience));
        let wakers = Arc::new(StreamWakers::default());
        let new = NewStream {
            method: &self.method,
            payload: &self.payload,
            metadata: self.metadata.as_ref(),
            deadline: self.deadline,
            sends: self.kind.client_streams(),
            receives: self.kind.server_streams(),
        };
        let open = |link: &Link, now, room| link.session.open(now, new, Arc::clone(&wakers), room);
        let placed = match placement.start(self.avoid, open).await {
            Ok(Some(placed)) => placed,
            Ok(None) => return Ok(None),
            Err(Unplaced::NoLink) => return Err(no_link(shared)),
            Err(Unplaced::Late) => return Err(self.too_late()),
            Err(Unplaced::Argument(error)) => {
                return Err(Error::Argument { method: self.method.to_string(), reason: error.to_string() });
            }
            Err(Unplaced::NoStreams) => return Err(self.no_streams()),
        };
        let (kept, method) = (Arc::clone(&self.kept), Arc::clone(&self.method));
        Ok(Some(ActiveStream::new(kept, method, self.deadline, placed, wakers, self.span.clone())))
    }

    async fn pause(&mut self) {
        let shared = &self.kept.shared;
        let pause = self.attempted.pause(|| shared.pool().random());
        if pause > Millis(0) {
            let until = shared.clock.now() + pause;
            let until = self.deadline.map_or(until, |deadline| deadline.min(until));
            shared.clock.sleep_until(Some(until)).await;
        }
    }

    fn too_late(&self) -> Error {
        let service = self.kept.shared.config.service.clone();
        Error::Deadline { service, method: self.method.to_string(), sent: false }
    }

    fn no_streams(&self) -> Error {
        let service = self.kept.shared.config.service.clone();
        let status =
            Status::unimplemented("the server speaks version 1 of the protocol, which has no streams");
        Error::Status { service, method: self.method.to_string(), status, not_run: true }
    }
}

#[cfg(feature = "tower")]
impl Opened {
    /// Returns the identity of the process that has the stream.
    pub(crate) fn instance(&self) -> &str {
        self.stream.instance()
    }
}
