//! The way of one call: picks a link, sends, waits, and tries again until there is a result or another attempt makes no
//! sense.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use common::{Millis, current_call};
use rpc_wire::MetadataRef;
use tokio::time::Instant;

use crate::error::Error;
use crate::explain::EndedAttempt;
use crate::link::{Link, Started};
use crate::placement::{Placed, Placement, Unplaced, no_link};
use crate::pool::{Demand, LinkId, Purpose};
use crate::retry::{Attempted, Retry, retry};
use crate::running::Running;
use crate::session::{Answer, Attempt, Ended, NewCall};
use crate::shared::Shared;

/// A call on its way.
pub(crate) struct Attempts<'a> {
    shared: &'a Shared,
    call: Outgoing<'a>,
    placement: Placement<'a>,
    /// Time of the beginning, on two clocks.
    begun: (Millis, Instant),
    attempted: Attempted,
    /// The last attempt that may have run it, if another one has followed. Boxed, because it is seldom.
    may_have_run: Option<Box<MayHaveRun>>,
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
struct MayHaveRun {
    instance: String,
    ended: Ended,
}

/// Returns the deadline of a call that has begun at this time.
pub(crate) fn deadline(shared: &Shared, begun: Millis, time: Duration) -> Millis {
    // One more, because the clock rounds down and a call must not end early.
    let own = begun + Millis::from(time) + Millis(1);
    // After the deadline of the call that is handled here, nobody waits for this one.
    let outer = current_call::deadline().map(|at| shared.clock.at(at));
    outer.map_or(own, |outer| outer.min(own))
}

impl<'a> Attempts<'a> {
    /// Takes a call that begins at this time, on two clocks.
    pub(crate) fn new(
        shared: &'a Shared,
        call: Outgoing<'a>,
        deadline: Millis,
        begun: (Millis, Instant),
    ) -> Self {
        let mut placement = Placement::new(shared, Purpose::Call, begun.0, deadline);
        (placement.key, placement.patience) = (call.key, call.patience.unwrap_or(placement.patience));
        Self { shared, call, placement, begun, attempted: Attempted::default(), may_have_run: None }
    }

    /// Makes the call.
    pub(crate) async fn run(&mut self) -> Result<Answered, Error> {
        let mut avoid = None;
        while self.attempted.begin() {
            // What is seldom is boxed, here and below: every call pays for the size of this future.
            if self.attempted.is_retry() {
                self.shared.metrics.retries.increment();
                Box::pin(self.pause()).await;
                self.placement.now = self.shared.clock.now();
            }
            let Some(mut running) = self.start(avoid).await? else { continue };
            let reply = match self.hedge_after() {
                None => running.reply().await,
                Some(after) => Box::pin(self.race(&mut running, after)).await,
            };
            avoid = Some(running.picked.id);
            let at = running.end(&reply);
            let ended = match reply {
                Ok(answer) => {
                    if let Some(latencies) = &self.shared.latencies {
                        // From the beginning, because the time of a second attempt does not tell how slow the first one was.
                        latencies.add(self.call.method, at.saturating_duration_since(self.begun.1));
                    }
                    return Ok(Answered { answer, link: Arc::clone(&running.link), at });
                }
                Err(ended) => ended,
            };
            if !self.may_retry(&ended) {
                return Err(self.error(ended, &running.link.instance));
            }
            self.note(&running, ended);
        }
        Err(self.no_link())
    }

    async fn pause(&mut self) {
        let pause = self.attempted.pause(|| self.shared.pool().random());
        if pause > Millis(0) {
            let clock = self.shared.clock;
            clock.sleep_until(Some(self.placement.deadline.min(clock.now() + pause))).await;
        }
    }

    fn may_retry(&mut self, ended: &Ended) -> bool {
        let time_left = self.placement.deadline.since(self.shared.clock.now());
        self.attempted.may_retry(ended, self.call.idempotent, self.shared.retry_limits(Some(time_left)))
    }

    /// Sends the call on the best link that has room. Returns `None` if that link has just gone.
    async fn start(&mut self, avoid: Option<LinkId>) -> Result<Option<Running<'a>>, Error> {
        let new = self.new_call();
        let placed = self.placement.start(avoid, |link, now, room| link.session.start(now, new, room)).await;
        let Placed { picked, link, started } = match placed {
            Ok(Some(placed)) => placed,
            Ok(None) => return Ok(None),
            Err(Unplaced::NoLink) => return Err(self.no_link()),
            Err(Unplaced::Argument(error)) => {
                // Another server may have taken and run it.
                let method = self.call.method.to_owned();
                let argument = || Error::Argument { method, reason: error.to_string() };
                return Err(self.earlier().unwrap_or_else(argument));
            }
            Err(Unplaced::Late | Unplaced::NoStreams) => return Err(self.too_late()),
        };
        // Usually there was no wait, and the clock need not be read again.
        let (at, begun) = self.begun;
        let begun = if self.placement.now == at { begun } else { Instant::now() };
        Ok(Some(Running::new(self.shared, (picked, link), started, begun)))
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
        let Err(ended) = &reply else {
            second.overtaken();
            return reply;
        };
        if !self.is_of_the_instance(ended) {
            self.note(&second, Ended::Lost("another attempt has been answered".into()));
            second.overtaken();
            return reply;
        }
        // The other one may do better.
        first.end(&reply);
        self.note(first, ended.clone());
        *first = second;
        first.reply().await
    }

    /// Returns true if the same call may end in another way elsewhere.
    fn is_of_the_instance(&self, ended: &Ended) -> bool {
        let failures = self.shared.settings.failure_codes;
        match ended {
            Ended::Late => false,
            Ended::Failed(status) | Ended::NotRun(status) if failures.contain(status.code) => true,
            _ => retry(ended, true) != Retry::No,
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
        let (now, avoid) = (shared.clock.now(), [first.picked.id]);
        let demand = Demand { now, avoid: &avoid, key: None, purpose: Purpose::Hedge };
        let (picked, link) = shared.pool().pick(&demand)?;
        let may = picked.id != first.picked.id && shared.budget.take_retry();
        let started = may.then(|| link.session.start(now, self.new_call(), None));
        let Some(Started::Sent(started)) = started else {
            shared.give_back(now, picked);
            if may {
                shared.budget.return_retry();
            }
            return None;
        };
        shared.metrics.hedges.increment();
        Some(Running::new(shared, (picked, link), started, Instant::now()))
    }

    /// Notes the end of an attempt before the last, if it may have run.
    fn note(&mut self, running: &Running<'_>, ended: Ended) {
        if !matches!(ended, Ended::NotSent | Ended::NotRun(_)) {
            self.may_have_run = Some(Box::new(MayHaveRun { instance: running.link.instance.clone(), ended }));
        }
    }

    fn new_call(&self) -> NewCall<'a> {
        let Outgoing { method, metadata, payload, .. } = self.call;
        NewCall { method, metadata, payload, deadline: self.placement.deadline }
    }

    /// Returns the error of the attempt before that may have run.
    fn earlier(&mut self) -> Option<Error> {
        let MayHaveRun { instance, ended } = *self.may_have_run.take()?;
        Some(self.ended(&instance).error(ended))
    }

    fn no_link(&mut self) -> Error {
        self.earlier().unwrap_or_else(|| no_link(self.shared))
    }

    fn too_late(&self) -> Error {
        let (service, method) = (self.shared.config.service.clone(), self.call.method.to_owned());
        Error::Deadline { service, method, sent: self.may_have_run.is_some() }
    }

    fn error(&mut self, ended: Ended, instance: &str) -> Error {
        let earlier = if ended == Ended::NotSent { self.earlier() } else { None };
        earlier.unwrap_or_else(|| self.ended(instance).error(ended))
    }

    fn ended<'e>(&'e self, instance: &'e str) -> EndedAttempt<'e> {
        EndedAttempt {
            shared: self.shared,
            method: self.call.method,
            instance,
            deadline: Some(self.placement.deadline),
            may_have_run: self.may_have_run.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::testing::shared_with_links;

    #[tokio::test(start_paused = true)]
    async fn a_call_that_finds_only_links_that_have_just_closed_is_not_late() {
        // The pool does not know it yet.
        let (shared, begun) = (shared_with_links(3), Instant::now());
        let (metadata, payload) = (MetadataRef::default(), &b""[..]);
        let (idempotent, key, patience, hedge) = (false, None, None, None);
        let call = Outgoing { method: "m", metadata, payload, idempotent, key, patience, hedge };
        let mut attempts = Attempts::new(&shared, call, Millis(60_000), (Millis(0), begun));
        let error = attempts.run().await.unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
}
