//! A stream on a link.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll};

use common::Millis;
use common::log::Shown;
use rpc_wire::{CallId, Code, Format, Metadata, Status};
use tokio::time::Instant;
use tracing::Span;

use crate::client::Client;
use crate::error::Error;
use crate::link::{Link, StreamWakers};
use crate::placement::Placed;
use crate::pool::{LinkId, LinkOutcome};
use crate::session::{Attempt, Batch, Ended, Input, Received, Unsent};
use crate::shared::Shared;
use crate::span;

/// Lead that a server's clock may have over ours at the end of a stream: rounding, and the time of a timer.
const CLOCK_SLACK: Millis = Millis(10);

/// A stream on a link, which its halves share. Dropping it gives the link back, and cancels the stream if it has not ended.
#[derive(Debug)]
pub(super) struct ActiveStream {
    client: Client,
    method: Arc<str>,
    deadline: Option<Millis>,
    link_id: LinkId,
    link: Arc<Link>,
    id: CallId,
    wakers: Arc<StreamWakers>,
    span: Span,
    begun: Instant,
    /// The server has ended it.
    is_answered: AtomicBool,
    /// Code of its end; CANCELLED until there is one.
    code: AtomicU8,
}

impl ActiveStream {
    pub(super) fn new(
        client: Client,
        method: Arc<str>,
        deadline: Option<Millis>,
        placed: Placed<CallId>,
        wakers: Arc<StreamWakers>,
        span: Span,
    ) -> Self {
        let Placed { id: link_id, link, started: id } = placed;
        link.counters.sent.fetch_add(1, Ordering::Relaxed);
        link.metrics.start();
        span::answered(&span, &link.addr);
        let Shared { counters, metrics, .. } = &**client.shared();
        metrics.method(&method).start();
        counters.streams.fetch_add(1, Ordering::Relaxed);
        counters.open_streams.fetch_add(1, Ordering::Relaxed);
        Self {
            client,
            method,
            deadline,
            link_id,
            link,
            id,
            wakers,
            span,
            begun: Instant::now(),
            is_answered: AtomicBool::new(false),
            code: AtomicU8::new(Code::CANCELLED.0),
        }
    }

    pub(super) fn method(&self) -> &str {
        &self.method
    }

    pub(super) fn format(&self) -> Format {
        self.client.shared().config.format
    }

    pub(super) fn link_id(&self) -> LinkId {
        self.link_id
    }

    /// Exchanges a batch that was taken for the next one; returns the end of the stream if there is none.
    pub(super) fn poll_receive(&self, cx: &mut Context<'_>, batch: &mut Batch) -> Poll<Option<Attempt>> {
        let mut received = self.link.session.receive(self.id, batch);
        if received == Received::Nothing {
            self.wakers.reader.register(cx);
            // Messages may have come before that.
            received = self.link.session.receive(self.id, batch);
        }
        match received {
            Received::Messages => Poll::Ready(None),
            Received::Nothing => Poll::Pending,
            Received::End(end) => {
                self.note_end(&end);
                Poll::Ready(Some(end))
            }
        }
    }

    /// Sends a message, once the server takes it.
    pub(super) fn poll_send(&self, cx: &mut Context<'_>, message: &[u8]) -> Poll<Result<(), Unsent>> {
        let mut sent = self.link.session.send(self.id, message);
        if sent == Err(Unsent::Full) {
            self.wakers.sender.register(cx);
            // Credit may have come before that.
            sent = self.link.session.send(self.id, message);
        }
        if sent == Err(Unsent::Full) { Poll::Pending } else { Poll::Ready(sent) }
    }

    /// Tells the server that no more messages follow.
    pub(super) fn finish(&self) {
        self.link.session.finish(self.id);
    }

    /// Cancels the stream, unless it has ended, and drops what has arrived.
    pub(super) fn cancel(&self) {
        self.link.session.handle(self.client.shared().clock.now(), Input::Cancel(self.id));
    }

    /// Returns the error of a stream that has ended in this way after so many messages.
    pub(super) fn error(&self, ended: Ended, messages: u64) -> Error {
        let shared = self.client.shared();
        let (service, method) = (shared.config.service.clone(), self.method.to_string());
        let is_late = || self.deadline.is_some_and(|deadline| shared.clock.now() + CLOCK_SLACK >= deadline);
        match ended {
            Ended::Late => Error::Deadline { service, method, sent: true },
            // The server's clock was a little ahead of ours.
            Ended::Failed(Status { code: Code::DEADLINE_EXCEEDED, .. }, _) if is_late() => {
                Error::Deadline { service, method, sent: true }
            }
            Ended::Failed(status, _) => Error::Status { service, method, status, not_run: false },
            Ended::NotRun(status) => Error::Status { service, method, status, not_run: true },
            Ended::NotSent => {
                let reason = format!("connection to {} lost", Shown::text(&self.link.instance));
                Error::Unreachable { service, reason }
            }
            Ended::Lost(reason) => {
                let instance = self.link.instance.clone();
                let reason = format!("{reason} (after {messages} messages)");
                Error::ConnectionLost { service, method, instance, reason }
            }
        }
    }

    /// Returns the error of a message for a server that needs no more.
    pub(super) fn complete(&self) -> Error {
        let status = Status::cancelled("the server has answered and takes no more messages");
        self.error(Ended::Failed(status, Metadata::new()), 0)
    }

    /// Counts the stream as a call that its owner has seen the end of.
    pub(super) fn count(&self, is_ok: bool) {
        let counters = &self.client.shared().counters;
        let counter = if is_ok { &counters.ok } else { &counters.failed };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that the server has ended the stream.
    fn note_end(&self, end: &Attempt) {
        let code = end.as_ref().map_or_else(Ended::code, |_| Code::OK);
        self.code.store(code.0, Ordering::Relaxed);
        let is_answer = matches!(end, Ok(_) | Err(Ended::Failed(..) | Ended::NotRun(_)));
        if !is_answer || self.is_answered.swap(true, Ordering::Relaxed) {
            return;
        }
        if end.is_ok() {
            self.link.counters.ok.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for ActiveStream {
    fn drop(&mut self) {
        self.link.session.release(self.id);
        let shared = self.client.shared();
        let is_answered = *self.is_answered.get_mut();
        let outcome = if is_answered { LinkOutcome::Answered } else { LinkOutcome::Neither };
        let _ = shared.pool().finish(shared.clock.now(), self.link_id, outcome, None);
        shared.counters.open_streams.fetch_sub(1, Ordering::Relaxed);
        let (code, took) = (*self.code.get_mut(), self.begun.elapsed());
        self.link.metrics.end(code, took);
        shared.metrics.method(&self.method).end(code, took);
        span::end(&self.span, Code(code));
        shared.give_room();
    }
}
