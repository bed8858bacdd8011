//! One attempt at a call, from sending it to its end.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rpc_wire::{CallId, Code};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::link::Link;
use crate::pool::{FailureCodes, LinkOutcome, Picked};
use crate::session::{Attempt, Ended, Input};
use crate::shared::Shared;

/// An attempt on its way. Dropping it gives the link back, and cancels the attempt if it has not ended.
pub(crate) struct Running<'a> {
    shared: &'a Shared,
    pub(crate) picked: Picked,
    pub(crate) link: Arc<Link>,
    call: CallId,
    attempt: oneshot::Receiver<Attempt>,
    begun: Instant,
    /// Time of its end, and the code of its result; `None` until there is one.
    end: Option<(Instant, Code)>,
    outcome: LinkOutcome,
}

impl<'a> Running<'a> {
    /// Takes an attempt that has just been sent.
    pub(crate) fn new(
        shared: &'a Shared,
        (picked, link): (Picked, Arc<Link>),
        (call, attempt): (CallId, oneshot::Receiver<Attempt>),
        begun: Instant,
    ) -> Self {
        link.counters.sent.fetch_add(1, Ordering::Relaxed);
        link.metrics.start();
        Self { shared, picked, link, call, attempt, begun, end: None, outcome: LinkOutcome::Neither }
    }

    /// Waits for its end: at the deadline at the latest, and at the end of the session.
    pub(crate) async fn reply(&mut self) -> Attempt {
        let reply = (&mut self.attempt).await;
        reply.unwrap_or_else(|_| Err(Ended::Lost("its task has ended".into())))
    }

    /// Notes that another attempt was faster.
    pub(crate) fn overtaken(mut self) {
        self.outcome = LinkOutcome::Overtaken;
    }

    /// Notes its end, and returns the time of it.
    pub(crate) fn end(&mut self, reply: &Attempt) -> Instant {
        let ended = Instant::now();
        self.end = Some((ended, reply.as_ref().map_or_else(Ended::code, |_| Code::OK)));
        self.outcome = link_outcome(reply, self.shared.settings.failure_codes);
        let counters = &self.link.counters;
        let counter = if reply.is_ok() { &counters.ok } else { &counters.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        ended
    }
}

/// Returns what the end of an attempt says of its link.
pub(crate) fn link_outcome(end: &Attempt, failures: FailureCodes) -> LinkOutcome {
    match end {
        Err(Ended::Failed(status) | Ended::NotRun(status)) if failures.contain(status.code) => {
            LinkOutcome::Failed
        }
        Ok(_) | Err(Ended::Failed(..) | Ended::NotRun(_)) => LinkOutcome::Answered,
        Err(Ended::Late) => LinkOutcome::Missed,
        Err(Ended::NotSent | Ended::Lost(_)) => LinkOutcome::Neither,
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let (ended, code) = self.end.unwrap_or_else(|| (Instant::now(), Code::CANCELLED));
        let took = ended.saturating_duration_since(self.begun);
        self.link.metrics.end(code.0, took);
        let now = self.shared.clock.at(ended);
        if !matches!(self.outcome, LinkOutcome::Answered | LinkOutcome::Failed) {
            self.link.session.handle(now, Input::Cancel(self.call));
        }
        let mut pool = self.shared.pool();
        let ask = pool.finish(now, self.picked, self.outcome, Some(took));
        let ejections = pool.take_ejections();
        drop(pool);
        if ejections > 0 {
            self.shared.metrics.ejections.add(ejections);
        }
        if ask {
            self.link.session.handle(now, Input::Probe);
        }
        self.shared.give_room();
    }
}
