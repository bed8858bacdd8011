//! The way of one call: picks a link, sends, waits, and tries again until there is a result or another attempt makes no
//! sense.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use common::log::Shown;
use common::{Millis, current_call};
use rpc_wire::{Code, MetadataRef, Status};
use tokio::time::Instant;

use crate::error::Error;
use crate::link::{Link, Started};
use crate::placement::{Placed, Placement, Unplaced, no_link};
use crate::pool::{Demand, LinkId, LinkOutcome};
use crate::retry::{self, Retry};
use crate::running::Running;
use crate::session::{Answer, Attempt, Ended, NewCall};
use crate::shared::Shared;

/// Maximum number of attempts at one call.
const MAX_ATTEMPTS: u32 = 16;

/// Number of refusals by servers that are leaving after which a call may be tried again without being counted.
const FREE_REFUSALS: u32 = 3;

/// Lead that a server's clock may have over ours at the end of a call: rounding, and the time of a timer.
const CLOCK_SLACK: Millis = Millis(10);

/// A call on its way.
pub(crate) struct Attempts<'a> {
    shared: &'a Shared,
    call: Outgoing<'a>,
    placement: Placement<'a>,
    /// Time of the beginning, on two clocks.
    begun: (Millis, Instant),
    /// The last attempt that may have run it.
    may_have_run: Option<MayHaveRun>,
    /// Number of retries that put more load on the service.
    retries: u32,
    /// Number of refusals by servers that are leaving.
    refusals: u32,
}

/// A call as its caller wants it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing<'a> {
    pub(crate) method: &'a str,
    pub(crate) metadata: MetadataRef<'a>,
    pub(crate) payload: &'a [u8],
    pub(crate) idempotent: bool,
    /// Hash of its key.
    pub(crate) key: Option<u64>,
    /// Time that it waits for a link; `None` for the client's.
    pub(crate) patience: Option<Millis>,
    /// Time after which it is sent to another instance, too.
    pub(crate) hedge: Option<Duration>,
}

/// An answer, and the link that it came through.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) answer: Answer,
    pub(crate) link: Arc<Link>,
    /// Time of its arrival.
    pub(crate) at: Instant,
}

/// An attempt that may have run, without a result.
#[derive(Clone)]
struct MayHaveRun {
    instance: String,
    reason: Arc<str>,
}

impl<'a> Attempts<'a> {
    /// Takes a call that has begun at this time.
    pub(crate) fn new(shared: &'a Shared, call: Outgoing<'a>, time_left: Millis, begun: Instant) -> Self {
        let now = shared.clock.at(begun);
        // One more, because the clock rounds down and a call must not end early.
        let own = now + time_left + Millis(1);
        // After the deadline of the call that is handled here, nobody waits for this one.
        let outer = current_call::deadline().map(|at| shared.clock.at(at));
        let mut placement = Placement::new(shared, now, outer.map_or(own, |outer| outer.min(own)));
        (placement.key, placement.patience) = (call.key, call.patience.unwrap_or(placement.patience));
        Self { shared, call, placement, begun: (now, begun), may_have_run: None, retries: 0, refusals: 0 }
    }

    /// Makes the call.
    pub(crate) async fn run(&mut self) -> Result<Answered, Error> {
        let mut avoid = None;
        for attempt in 0..MAX_ATTEMPTS {
            // What is seldom is boxed, here and below: every call pays for the size of this future.
            if attempt > 0 {
                self.shared.metrics.retries.increment();
                Box::pin(self.pause(attempt)).await;
                self.placement.now = self.shared.clock.now();
            }
            let Some(mut running) = self.start(avoid).await? else { continue };
            let reply = match self.hedge_after() {
                None => running.reply().await,
                Some(after) => Box::pin(self.race(&mut running, after)).await,
            };
            avoid = Some(running.id);
            let at = running.end(&reply);
            let ended = match reply {
                Ok(answer) => {
                    if let Some(latencies) = &self.shared.latencies {
                        latencies.add(self.call.method, running.took(at));
                    }
                    return Ok(Answered { answer, link: Arc::clone(&running.link), at });
                }
                Err(ended) => ended,
            };
            self.note(&running, &ended);
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
            Retry::Free if matches!(ended, Ended::NotSent) => true,
            Retry::Free => {
                self.refusals += 1;
                self.refusals <= FREE_REFUSALS || self.take_retry()
            }
            Retry::Counted => self.take_retry(),
        }
    }

    fn take_retry(&mut self) -> bool {
        self.retries += 1;
        self.retries <= self.shared.settings.max_retries && self.shared.budget.take_retry()
    }

    /// Sends the call on the best link that has room. Returns `None` if that link has just gone.
    async fn start(&mut self, avoid: Option<LinkId>) -> Result<Option<Running<'a>>, Error> {
        let new = self.new_call();
        let placed = self.placement.start(avoid, |link, now| link.session.start(now, new)).await;
        let Placed { id, link, started } = match placed {
            Ok(Some(placed)) => placed,
            Ok(None) => return Ok(None),
            Err(Unplaced::NoLink) => return Err(self.lost().unwrap_or_else(|| no_link(self.shared))),
            Err(Unplaced::Argument(error)) => {
                let method = self.call.method.to_owned();
                return Err(Error::Argument { method, reason: error.to_string() });
            }
            Err(Unplaced::Late | Unplaced::NoStreams) => return Err(self.too_late()),
        };
        // Usually there was no wait, and the clock need not be read again.
        let (at, begun) = self.begun;
        let begun = if self.placement.now == at { begun } else { Instant::now() };
        Ok(Some(Running::new(self.shared, (id, link), started, begun)))
    }

    /// Waits for the end of an attempt. If it is not there after a time, another one is sent elsewhere; the attempt whose
    /// answer counts takes the place of the first.
    async fn race(&mut self, first: &mut Running<'a>, after: Millis) -> Attempt {
        let shared = self.shared;
        let until = self.placement.deadline.min(shared.clock.now() + after);
        tokio::select! {
            biased;
            reply = first.reply() => return reply,
            () = shared.clock.sleep_until(Some(until)) => {}
        }
        let Some(mut second) = self.hedge(first) else { return first.reply().await };
        let reply = tokio::select! {
            biased;
            reply = first.reply() => reply,
            reply = second.reply() => {
                mem::swap(first, &mut second);
                reply
            }
        };
        match &reply {
            Err(ended) if retry::retry(ended, true) != Retry::No => {
                // The other one may do better.
                first.end(&reply);
                self.note(first, ended);
                *first = second;
                first.reply().await
            }
            _ => {
                second.overtaken();
                reply
            }
        }
    }

    /// Returns the time after which the call is sent to another instance, too.
    fn hedge_after(&self) -> Option<Millis> {
        let Outgoing { method, idempotent, hedge, .. } = self.call;
        if !idempotent {
            return None;
        }
        hedge.or_else(|| self.shared.latencies.as_ref()?.limit(method)).map(Millis::from)
    }

    /// Sends the call to another instance, if there is one with room and the budget has a retry left.
    fn hedge(&mut self, first: &Running<'_>) -> Option<Running<'a>> {
        let shared = self.shared;
        let (now, avoid) = (shared.clock.now(), [first.id]);
        let (id, link) = shared.pool().pick(&Demand { now, avoid: &avoid, key: None })?;
        let may = id != first.id && shared.budget.take_retry();
        let started = may.then(|| link.session.start(now, self.new_call()));
        let Some(Started::Sent(started)) = started else {
            let _ = shared.pool().finish(now, id, LinkOutcome::Neither, None);
            return None;
        };
        shared.metrics.hedges.increment();
        Some(Running::new(shared, (id, link), started, Instant::now()))
    }

    /// Notes that an attempt may have run, if it may.
    fn note(&mut self, running: &Running<'_>, ended: &Ended) {
        let reason = match ended {
            Ended::Lost(reason) => Arc::clone(reason),
            Ended::Failed(status, _) => format!("it answered {status}").into(),
            Ended::Late => "no answer in time".into(),
            Ended::NotSent | Ended::NotRun(_) => return,
        };
        self.may_have_run = Some(MayHaveRun { instance: running.link.instance.clone(), reason });
    }

    fn new_call(&self) -> NewCall<'a> {
        let Outgoing { method, metadata, payload, .. } = self.call;
        NewCall { method, metadata, payload, deadline: self.placement.deadline }
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
