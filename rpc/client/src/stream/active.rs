//! A stream on a link.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use common::Millis;
use rpc_wire::{CallId, Code, Format, Status};
use tokio::time::Instant;
use tracing::Span;

use crate::error::Error;
use crate::explain::EndedAttempt;
use crate::kept::Kept;
use crate::link::{Link, StreamWakers};
use crate::placement::Placed;
use crate::pool::{LinkId, LinkOutcome, Picked};
use crate::running::link_outcome;
use crate::session::{Attempt, Batch, Ended, Received, Unsent};
use crate::shared::Shared;
use crate::span;

/// A stream on a link, which its halves share. Dropping it gives the link back, and cancels the stream if it has not ended.
#[derive(Debug)]
pub(super) struct ActiveStream {
    kept: Arc<Kept>,
    method: Arc<str>,
    deadline: Option<Millis>,
    picked: Picked,
    /// It has shown that its process works, as far as that is asked.
    is_proved: AtomicBool,
    link: Arc<Link>,
    id: CallId,
    wakers: Arc<StreamWakers>,
    span: Span,
    begun: Instant,
    /// Its place on the link was given back.
    has_left: AtomicBool,
    /// Its end: the code, and what it says of the link.
    end: OnceLock<(Code, LinkOutcome)>,
}

impl ActiveStream {
    pub(super) fn new(
        kept: Arc<Kept>,
        method: Arc<str>,
        deadline: Option<Millis>,
        placed: Placed<CallId>,
        wakers: Arc<StreamWakers>,
        span: Span,
    ) -> Self {
        let Placed { picked, link, started: id } = placed;
        link.counters.sent.fetch_add(1, Ordering::Relaxed);
        link.metrics.start();
        span::answered(&span, &link.addr);
        let Shared { counters, metrics, .. } = &*kept.shared;
        metrics.method(&method).start();
        counters.streams.fetch_add(1, Ordering::Relaxed);
        counters.open_streams.fetch_add(1, Ordering::Relaxed);
        Self {
            kept,
            method,
            deadline,
            picked,
            is_proved: AtomicBool::new(!picked.is_probe()),
            link,
            id,
            wakers,
            span,
            begun: Instant::now(),
            has_left: AtomicBool::new(false),
            end: OnceLock::new(),
        }
    }

    pub(super) fn method(&self) -> &str {
        &self.method
    }

    /// Returns the identity of the process that has the stream.
    #[cfg(feature = "tower")]
    pub(super) fn instance(&self) -> &str {
        &self.link.instance
    }

    pub(super) fn format(&self) -> Format {
        self.kept.shared.config.format
    }

    pub(super) fn link_id(&self) -> LinkId {
        self.picked.id
    }

    /// Returns the tasks of its halves. Once it has ended, they wait for the stream that comes in its place.
    pub(super) fn wakers(&self) -> &Arc<StreamWakers> {
        &self.wakers
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
            Received::Messages => {
                if !self.is_proved.load(Ordering::Relaxed) {
                    self.prove();
                }
                Poll::Ready(None)
            }
            Received::Nothing => Poll::Pending,
            Received::End(end) => {
                self.note_end(&end);
                Poll::Ready(Some(end))
            }
        }
    }

    /// Notes the first message. The end, which decides about calls, may be hours away.
    fn prove(&self) {
        if !self.is_proved.swap(true, Ordering::Relaxed) {
            let shared = &self.kept.shared;
            shared.pool().prove(shared.clock.now(), self.picked);
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
        match &sent {
            Err(Unsent::Full) => return Poll::Pending,
            Err(Unsent::Ended(end)) => self.note_end(end),
            _ => {}
        }
        Poll::Ready(sent)
    }

    /// Tells the server that no more messages follow.
    pub(super) fn finish(&self) {
        self.link.session.finish(self.id);
    }

    /// Gives the place on the link back, once.
    fn leave(&self) {
        if self.has_left.swap(true, Ordering::SeqCst) {
            return;
        }
        let shared = &self.kept.shared;
        let outcome = self.end.get().map_or(LinkOutcome::Neither, |(_, outcome)| *outcome);
        let mut pool = shared.pool();
        let _ = pool.finish(shared.clock.now(), self.picked, outcome, None);
        let ejections = pool.take_ejections();
        drop(pool);
        if ejections > 0 {
            shared.metrics.ejections.add(ejections);
        }
        shared.give_room();
    }

    /// Cancels the stream, unless it has ended, and drops what has arrived. Gives its place on the link back: its owner may keep
    /// what is left of it.
    pub(super) fn cancel(&self) {
        if let Some(end) = self.link.session.cancel(self.kept.shared.clock.now(), self.id) {
            self.note_end(&end);
        }
    }

    /// Returns the error of a stream that has ended in this way after so many messages.
    pub(super) fn error(&self, ended: Ended, messages: u64) -> Error {
        self.ended().error(match ended {
            Ended::Lost(reason) => Ended::Lost(format!("{reason} (after {messages} messages)").into()),
            ended => ended,
        })
    }

    /// Returns the error of a message for a server that needs no more.
    pub(super) fn complete(&self) -> Error {
        let status = Status::cancelled("the server has answered and takes no more messages");
        self.error(Ended::Failed(status), 0)
    }

    /// Counts the stream as a call that its owner has seen the end of.
    pub(super) fn count(&self, is_ok: bool) {
        let counters = &self.kept.shared.counters;
        let counter = if is_ok { &counters.ok } else { &counters.failed };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes the end of the stream, and gives its place on the link back: its halves may stay for long.
    fn note_end(&self, end: &Attempt) {
        let code = end.as_ref().map_or_else(Ended::code, |_| Code::OK);
        let outcome = match end {
            // The deadline of a stream limits what its caller wants to hear, and the caller may also have ended it.
            Err(Ended::Late) => LinkOutcome::Neither,
            Err(Ended::Failed(status)) if self.ended().is_late(status) => LinkOutcome::Neither,
            Err(Ended::Failed(status)) if status.code == Code::CANCELLED => LinkOutcome::Neither,
            end => link_outcome(end, self.kept.shared.settings.failure_codes),
        };
        if self.end.set((code, outcome)).is_ok() && code != Code::CANCELLED {
            let counters = &self.link.counters;
            let counter = if end.is_ok() { &counters.ok } else { &counters.failed };
            counter.fetch_add(1, Ordering::Relaxed);
        }
        self.leave();
    }

    fn ended(&self) -> EndedAttempt<'_> {
        EndedAttempt {
            shared: &self.kept.shared,
            method: &self.method,
            instance: &self.link.instance,
            deadline: self.deadline,
            may_have_run: false,
        }
    }
}

impl Drop for ActiveStream {
    fn drop(&mut self) {
        self.link.session.release(self.id);
        self.leave();
        let shared = &self.kept.shared;
        let code = self.end.get().map_or(Code::CANCELLED, |(code, _)| *code);
        shared.counters.open_streams.fetch_sub(1, Ordering::Relaxed);
        let took = self.begun.elapsed();
        self.link.metrics.end(code.0, took);
        shared.metrics.method(&self.method).end(code.0, took);
        span::end(&self.span, code);
    }
}
