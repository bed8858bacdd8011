//! The opening of a stream: picks a link, and tries again as long as nothing ran.

use std::sync::Arc;
use std::time::Duration;

use common::{Millis, current_call};
use rpc_wire::{Metadata, Status};
use tracing::Span;

use super::active::ActiveStream;
use crate::client::Client;
use crate::error::Error;
use crate::link::{Link, StreamWakers};
use crate::placement::{Placement, Unplaced, no_link};
use crate::pool::{LinkId, Purpose};
use crate::retry::Attempted;
use crate::session::{Ended, NewStream};
use crate::span;

/// A stream to open.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) client: Client,
    pub(super) method: Arc<str>,
    /// Argument; empty if the client sends messages.
    pub(super) payload: Vec<u8>,
    pub(super) metadata: Metadata,
    pub(super) deadline: Option<Millis>,
    /// Hash of its key.
    pub(super) key: Option<u64>,
    /// Time to wait for a link; `None` for the client's.
    pub(super) patience: Option<Millis>,
    /// The client sends messages.
    pub(super) sends: bool,
    /// The server sends messages.
    pub(super) receives: bool,
    /// Span around the stream, from the first attempt on.
    span: Span,
    attempted: Attempted,
    /// Link of the last attempt.
    avoid: Option<LinkId>,
}

impl Opening {
    pub(super) fn new(client: Client, method: &str, deadline: Option<Duration>) -> Self {
        let clock = client.shared().clock;
        // One more, because the clock rounds down and a stream must not end early.
        let own = deadline.map(|deadline| clock.now() + deadline.into() + Millis(1));
        // After the deadline of the call that is handled here, nobody waits for this stream.
        let outer = current_call::deadline().map(|at| clock.at(at));
        Self {
            client,
            method: method.into(),
            payload: Vec::new(),
            metadata: Metadata::new(),
            deadline: own.into_iter().chain(outer).min(),
            key: None,
            patience: None,
            sends: false,
            receives: false,
            span: Span::none(),
            attempted: Attempted::default(),
            avoid: None,
        }
    }

    /// Sends the request on the best link that has room.
    pub(super) async fn open(&mut self) -> Result<ActiveStream, Error> {
        let Self { client, method, metadata, span, attempted, .. } = self;
        if !attempted.has_begun() {
            let shared = client.shared();
            *span = span::begin(&shared.config.service, method);
            span::send_context(shared.context_hook.as_ref(), span, metadata);
            shared.budget.add_call();
        }
        while self.attempted.begin() {
            if self.attempted.is_retry() {
                self.client.shared().metrics.retries.increment();
                self.pause().await;
            }
            if let Some(stream) = self.attempt().await? {
                return Ok(stream);
            }
        }
        Err(no_link(self.client.shared()))
    }

    /// Returns true if the stream, which has ended before any message, can be opened once more.
    pub(super) fn may_retry(&mut self, stream: &ActiveStream, ended: &Ended) -> bool {
        self.avoid = Some(stream.link_id());
        let shared = self.client.shared();
        let time_left = self.deadline.map(|deadline| deadline.since(shared.clock.now()));
        self.attempted.may_retry(ended, false, shared.retry_limits(time_left))
    }

    async fn attempt(&self) -> Result<Option<ActiveStream>, Error> {
        let shared = self.client.shared();
        let deadline = self.deadline.unwrap_or(Millis(u64::MAX));
        let mut placement = Placement::new(shared, Purpose::Stream, shared.clock.now(), deadline);
        (placement.key, placement.patience) = (self.key, self.patience.unwrap_or(placement.patience));
        let wakers = Arc::new(StreamWakers::default());
        let new = NewStream {
            method: &self.method,
            payload: &self.payload,
            metadata: self.metadata.as_ref(),
            deadline: self.deadline,
            sends: self.sends,
            receives: self.receives,
        };
        let open = |link: &Link, now| link.session.open(now, new, Arc::clone(&wakers));
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
        let (client, method) = (self.client.clone(), Arc::clone(&self.method));
        Ok(Some(ActiveStream::new(client, method, self.deadline, placed, wakers, self.span.clone())))
    }

    async fn pause(&mut self) {
        let shared = self.client.shared();
        let pause = self.attempted.pause(|| shared.pool().random());
        if pause > Millis(0) {
            let until = shared.clock.now() + pause;
            let until = self.deadline.map_or(until, |deadline| deadline.min(until));
            shared.clock.sleep_until(Some(until)).await;
        }
    }

    fn too_late(&self) -> Error {
        let service = self.client.shared().config.service.clone();
        Error::Deadline { service, method: self.method.to_string(), sent: false }
    }

    fn no_streams(&self) -> Error {
        let service = self.client.shared().config.service.clone();
        let status =
            Status::unimplemented("the server speaks version 1 of the protocol, which has no streams");
        Error::Status { service, method: self.method.to_string(), status, not_run: true }
    }
}
