//! The way of one call: picks a link, sends, waits, and tries again until there is a result or another attempt makes no
//! sense.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use bytes::Bytes;
use common::Millis;
use common::log::Shown;
use rpc_wire::{CallId, Code, Status};
use tokio::sync::oneshot;

use crate::error::Error;
use crate::link::{Link, Started};
use crate::pool::{LinkId, LinkOutcome};
use crate::retry::{self, Retry};
use crate::session::{Attempt, Ended, Input, NewCall};
use crate::shared::Shared;

/// Maximum number of attempts at one call.
const MAX_ATTEMPTS: u32 = 16;

/// Lead that a server's clock may have over ours at the end of a call: rounding, and the time of a timer.
const CLOCK_SLACK: Millis = Millis(10);

/// A call on its way.
pub(crate) struct Attempts<'a> {
    shared: &'a Shared,
    method: &'a str,
    payload: &'a [u8],
    /// Time at the end of the last wait.
    now: Millis,
    deadline: Millis,
    idempotent: bool,
    /// The last attempt that may have run it.
    may_have_run: Option<MayHaveRun>,
    /// Number of retries that put more load on the service.
    retries: u32,
}

/// An attempt that may have run, without a result.
#[derive(Clone)]
struct MayHaveRun {
    instance: String,
    reason: Arc<str>,
}

impl<'a> Attempts<'a> {
    pub(crate) fn new(
        shared: &'a Shared,
        method: &'a str,
        payload: &'a [u8],
        time_left: Millis,
        idempotent: bool,
    ) -> Self {
        let now = shared.clock.now();
        Self {
            shared,
            method,
            payload,
            now,
            // One more, because the clock rounds down and a call must not end early.
            deadline: now + time_left + Millis(1),
            idempotent,
            may_have_run: None,
            retries: 0,
        }
    }

    pub(crate) async fn run(mut self) -> Result<Bytes, Error> {
        let mut avoid = None;
        for attempt in 0..MAX_ATTEMPTS {
            if attempt > 0 {
                self.shared.counters.retried.fetch_add(1, Ordering::Relaxed);
                self.pause(attempt).await;
                self.now = self.shared.clock.now();
            }
            let Some(mut running) = self.start(avoid).await? else { continue };
            avoid = Some(running.id);
            // A session completes its calls at their deadlines, and all of them at its end.
            let reply = (&mut running.attempt)
                .await
                .unwrap_or_else(|_| Err(Ended::Lost("its task has ended".into())));
            running.ended(&reply);
            let ended = match reply {
                Ok(reply) => return Ok(reply),
                Err(ended) => ended,
            };
            let reason = match &ended {
                Ended::Lost(reason) => Some(Arc::clone(reason)),
                Ended::Failed(status) => Some(format!("it answered {status}").into()),
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
            clock.sleep_until(Some(self.deadline.min(clock.now() + pause))).await;
        }
    }

    fn may_retry(&mut self, ended: &Ended) -> bool {
        match retry::retry(ended, self.idempotent) {
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
        let shared = self.shared;
        let (mut full, mut rooms) = (Vec::new(), Vec::<Wait<'_>>::new());
        loop {
            let (id, link) = self.link(if full.is_empty() { avoid.as_slice() } else { &full }).await?;
            let call = NewCall { method: self.method, payload: self.payload, deadline: self.deadline };
            let started = link.session.start(self.now, call);
            if let Ok(Started::Sent(call, attempt)) = started {
                link.counters.sent.fetch_add(1, Ordering::Relaxed);
                let outcome = LinkOutcome::Neither;
                return Ok(Some(Running { shared, id, link, call, attempt, outcome }));
            }
            let _ = shared.pool().finish(id, LinkOutcome::Neither);
            let room = match started {
                Ok(Started::Full(room)) => room,
                Ok(_) => return Ok(None),
                Err(error) => {
                    return Err(Error::Argument { method: self.method.into(), reason: error.to_string() });
                }
            };
            if rooms.is_empty() {
                rooms.push(Box::pin(shared.changed()));
            }
            rooms.push(Box::pin(room));
            if !full.contains(&id) {
                // Another link may have room.
                full.push(id);
                continue;
            }
            tokio::select! {
                biased;
                () = any(&mut rooms) => {}
                () = shared.clock.sleep_until(Some(self.deadline)) => return Err(self.too_late()),
            }
            self.now = shared.clock.now();
            full.clear();
            rooms.clear();
        }
    }

    /// Waits for a link that takes a call.
    async fn link(&mut self, avoid: &[LinkId]) -> Result<(LinkId, Arc<Link>), Error> {
        let shared = self.shared;
        if let Some(picked) = shared.pool().pick(avoid) {
            return Ok(picked);
        }
        let until = self.deadline.min(self.now + shared.settings.patience);
        loop {
            let mut changed = pin!(shared.changed());
            // From here on no change is missed.
            changed.as_mut().enable();
            self.now = shared.clock.now();
            if let Some(picked) = shared.pool().pick(avoid) {
                return Ok(picked);
            }
            tokio::select! {
                biased;
                () = changed => {}
                () = shared.room() => {}
                // One last look, because a runtime that was held up may find the change and the timeout at once.
                () = shared.clock.sleep_until(Some(until)) => {
                    let picked = shared.pool().pick(avoid);
                    return picked.ok_or_else(|| self.no_link());
                }
            }
        }
    }

    /// Returns the reason why no link took the call.
    fn no_link(&self) -> Error {
        if let Some(lost) = self.lost() {
            return lost;
        }
        let service = self.service();
        let pool = self.shared.pool();
        if !pool.has_targets() {
            return Error::NoInstances { service };
        }
        let reason = pool.failure().unwrap_or("all connections are busy or being made").to_owned();
        Error::Unreachable { service, reason }
    }

    /// Returns the error of a call that an earlier attempt may have run.
    fn lost(&self) -> Option<Error> {
        let MayHaveRun { instance, reason } = self.may_have_run.clone()?;
        let (service, method) = (self.service(), self.method.to_owned());
        Some(Error::ConnectionLost { service, method, instance, reason: reason.to_string() })
    }

    fn too_late(&self) -> Error {
        let (service, method) = (self.service(), self.method.to_owned());
        Error::Deadline { service, method, sent: self.may_have_run.is_some() }
    }

    fn service(&self) -> String {
        self.shared.config.service.clone()
    }

    fn error(&self, ended: Ended, instance: &str) -> Error {
        let (service, method) = (self.service(), self.method.to_owned());
        match ended {
            Ended::Late => self.too_late(),
            // The server's clock was a little ahead of ours. An earlier answer is the handler's, about a deadline of its
            // own.
            Ended::Failed(Status { code: Code::DEADLINE_EXCEEDED, .. })
                if self.shared.clock.now() + CLOCK_SLACK >= self.deadline =>
            {
                self.too_late()
            }
            Ended::Failed(status) => Error::Status { service, method, status, not_run: false },
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
    outcome: LinkOutcome,
}

impl Running<'_> {
    fn ended(&mut self, reply: &Attempt) {
        self.outcome = match reply {
            Ok(_) | Err(Ended::Failed(_) | Ended::NotRun(_)) => LinkOutcome::Answered,
            Err(Ended::Late) => LinkOutcome::Missed,
            Err(Ended::NotSent | Ended::Lost(_)) => LinkOutcome::Neither,
        };
        if reply.is_ok() {
            self.link.counters.ok.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let clock = self.shared.clock;
        if self.outcome != LinkOutcome::Answered {
            self.link.session.handle(clock.now(), Input::Cancel(self.call));
        }
        let ask = self.shared.pool().finish(self.id, self.outcome);
        if ask {
            self.link.session.handle(clock.now(), Input::Probe);
        }
        self.shared.give_room();
    }
}

/// A wait for a change that may let the call go on.
type Wait<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Waits until one of them is over.
async fn any(waits: &mut [Wait<'_>]) {
    poll_fn(|cx| {
        let is_over = waits.iter_mut().any(|wait| wait.as_mut().poll(cx).is_ready());
        if is_over { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
