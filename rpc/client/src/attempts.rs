//! The way of one call: picks a link, sends, waits, and tries again until there is a result or another attempt makes no
//! sense.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use common::log::Shown;
use common::{Millis, current_call};
use rpc_wire::{CallId, Code, MetadataRef, Status};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::error::Error;
use crate::link::Link;
use crate::placement::{Placed, Placement, Unplaced, no_link};
use crate::pool::{LinkId, LinkOutcome};
use crate::retry::{self, Retry};
use crate::session::{Answer, Attempt, Ended, Input, NewCall};
use crate::shared::Shared;

/// Maximum number of attempts at one call.
const MAX_ATTEMPTS: u32 = 16;

/// Lead that a server's clock may have over ours at the end of a call: rounding, and the time of a timer.
const CLOCK_SLACK: Millis = Millis(10);

/// A call on its way.
pub(crate) struct Attempts<'a> {
    shared: &'a Shared,
    call: Outgoing<'a>,
    placement: Placement<'a>,
    /// The last attempt that may have run it.
    may_have_run: Option<MayHaveRun>,
    /// Number of retries that put more load on the service.
    retries: u32,
}

/// A call as its caller wants it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing<'a> {
    pub(crate) method: &'a str,
    pub(crate) metadata: MetadataRef<'a>,
    pub(crate) payload: &'a [u8],
    pub(crate) idempotent: bool,
}

/// An answer, and the link that it came through.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) answer: Answer,
    pub(crate) link: Arc<Link>,
}

/// An attempt that may have run, without a result.
#[derive(Clone)]
struct MayHaveRun {
    instance: String,
    reason: Arc<str>,
}

impl<'a> Attempts<'a> {
    pub(crate) fn new(shared: &'a Shared, call: Outgoing<'a>, time_left: Millis) -> Self {
        let now = shared.clock.now();
        // One more, because the clock rounds down and a call must not end early.
        let own = now + time_left + Millis(1);
        // After the deadline of the call that is handled here, nobody waits for this one.
        let outer = current_call::deadline().map(|at| shared.clock.at(at));
        Self {
            shared,
            call,
            placement: Placement::new(shared, now, outer.map_or(own, |outer| outer.min(own))),
            may_have_run: None,
            retries: 0,
        }
    }

    pub(crate) async fn run(mut self) -> Result<Answered, Error> {
        let mut avoid = None;
        for attempt in 0..MAX_ATTEMPTS {
            if attempt > 0 {
                self.shared.counters.retried.fetch_add(1, Ordering::Relaxed);
                self.pause(attempt).await;
                self.placement.now = self.shared.clock.now();
            }
            let Some(mut running) = self.start(avoid).await? else { continue };
            avoid = Some(running.id);
            // A session completes its calls at their deadlines, and all of them at its end.
            let reply = (&mut running.attempt)
                .await
                .unwrap_or_else(|_| Err(Ended::Lost("its task has ended".into())));
            running.ended(&reply);
            let ended = match reply {
                Ok(answer) => return Ok(Answered { answer, link: Arc::clone(&running.link) }),
                Err(ended) => ended,
            };
            let reason = match &ended {
                Ended::Lost(reason) => Some(Arc::clone(reason)),
                Ended::Failed(status, _) => Some(format!("it answered {status}").into()),
                Ended::Late => Some("no answer in time".into()),
                Ended::NotSent | Ended::NotRun(_) => None,
            };
            if let Some(reason) = reason {
                let instance = running.link.instance.clone();
                self.may_have_run = Some(MayHaveRun { instance, reason });
            }
            if attempt + 1 == MAX_ATTEMPTS || !self.may_retry(&ended) {
                return Err(self.error(ended, &running.link.instance));
            }
        }
        Err(self.too_late())
    }

    async fn pause(&self, attempt: u32) {
        let pause = retry::pause(attempt, || self.shared.pool().random());
        if pause > Millis(0) {
            let clock = self.shared.clock;
            clock.sleep_until(Some(self.placement.deadline.min(clock.now() + pause))).await;
        }
    }

    fn may_retry(&mut self, ended: &Ended) -> bool {
        match retry::retry(ended, self.call.idempotent) {
            Retry::No => false,
            Retry::Free => true,
            Retry::Counted => {
                self.retries += 1;
                self.retries <= self.shared.settings.max_retries && self.shared.budget.take_retry()
            }
        }
    }

    /// Sends the call on the best link that has room. Returns `None` if that link has just gone.
    async fn start(&mut self, avoid: Option<LinkId>) -> Result<Option<Running<'a>>, Error> {
        let Outgoing { method, metadata, payload, .. } = self.call;
        let new = NewCall { method, metadata, payload, deadline: self.placement.deadline };
        let placed = self.placement.start(avoid, |link, now| link.session.start(now, new)).await;
        let Placed { id, link, started: (call, attempt) } = match placed {
            Ok(Some(placed)) => placed,
            Ok(None) => return Ok(None),
            Err(Unplaced::NoLink) => return Err(self.lost().unwrap_or_else(|| no_link(self.shared))),
            Err(Unplaced::Argument(error)) => {
                return Err(Error::Argument { method: method.into(), reason: error.to_string() });
            }
            Err(Unplaced::Late | Unplaced::NoStreams) => return Err(self.too_late()),
        };
        link.counters.sent.fetch_add(1, Ordering::Relaxed);
        let (shared, begun, outcome) = (self.shared, Instant::now(), LinkOutcome::Neither);
        Ok(Some(Running { shared, id, link, call, attempt, begun, outcome }))
    }

    /// Returns the error of a call that an earlier attempt may have run.
    fn lost(&self) -> Option<Error> {
        let MayHaveRun { instance, reason } = self.may_have_run.clone()?;
        let (service, method) = (self.service(), self.call.method.to_owned());
        Some(Error::ConnectionLost { service, method, instance, reason: reason.to_string() })
    }

    fn too_late(&self) -> Error {
        let (service, method) = (self.service(), self.call.method.to_owned());
        Error::Deadline { service, method, sent: self.may_have_run.is_some() }
    }

    fn service(&self) -> String {
        self.shared.config.service.clone()
    }

    fn error(&self, ended: Ended, instance: &str) -> Error {
        let (service, method) = (self.service(), self.call.method.to_owned());
        match ended {
            Ended::Late => self.too_late(),
            // The server's clock was a little ahead of ours. An earlier answer is the handler's, about a deadline of its
            // own.
            Ended::Failed(Status { code: Code::DEADLINE_EXCEEDED, .. }, _)
                if self.shared.clock.now() + CLOCK_SLACK >= self.placement.deadline =>
            {
                self.too_late()
            }
            Ended::Failed(status, _) => Error::Status { service, method, status, not_run: false },
            // An earlier attempt may have run all the same.
            Ended::NotRun(status) => {
                Error::Status { service, method, status, not_run: self.may_have_run.is_none() }
            }
            Ended::NotSent | Ended::Lost(_) => self.lost().unwrap_or_else(|| {
                let reason = format!("connection to {} lost", Shown::text(instance));
                Error::Unreachable { service, reason }
            }),
        }
    }
}

/// An attempt on its way. Dropping it gives the link back, and cancels the attempt if it has not ended.
struct Running<'a> {
    shared: &'a Shared,
    id: LinkId,
    link: Arc<Link>,
    call: CallId,
    attempt: oneshot::Receiver<Attempt>,
    begun: Instant,
    outcome: LinkOutcome,
}

impl Running<'_> {
    fn ended(&mut self, reply: &Attempt) {
        self.outcome = match reply {
            Err(Ended::Failed(status, _) | Ended::NotRun(status))
                if self.shared.settings.failure_codes.contain(status.code) =>
            {
                LinkOutcome::Failed
            }
            Ok(_) | Err(Ended::Failed(..) | Ended::NotRun(_)) => LinkOutcome::Answered,
            Err(Ended::Late) => LinkOutcome::Missed,
            Err(Ended::NotSent | Ended::Lost(_)) => LinkOutcome::Neither,
        };
        let counters = &self.link.counters;
        let counter = if reply.is_ok() { &counters.ok } else { &counters.failed };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let ended = Instant::now();
        let now = self.shared.clock.at(ended);
        if !matches!(self.outcome, LinkOutcome::Answered | LinkOutcome::Failed) {
            self.link.session.handle(now, Input::Cancel(self.call));
        }
        let took = Some(ended.saturating_duration_since(self.begun));
        let ask = self.shared.pool().finish(now, self.id, self.outcome, took);
        if ask {
            self.link.session.handle(now, Input::Probe);
        }
        self.shared.give_room();
    }
}
