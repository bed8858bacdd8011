//! One call: attempts, until there is a result or no sense in another.

use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use rpc_wire::{CallId, Code, PayloadError, Shown, Status};
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use crate::connection::{Attempt, Connection, Started};
use crate::links::Shared;
use crate::pool::{ConnId, Outcome};
use crate::retry::{Ended, Retry};
use crate::{Client, Error, clock, retry};

/// A call that is made by awaiting it; dropping it on the way cancels it.
#[must_use = "await it"]
#[derive(Debug)]
pub struct Call<'a, R> {
    client: &'a Client,
    method: &'a str,
    payload: Result<Vec<u8>, PayloadError>,
    deadline: Duration,
    idempotent: bool,
    result: PhantomData<fn() -> R>,
}

impl<'a, R> Call<'a, R> {
    pub(crate) fn new(
        client: &'a Client,
        method: &'a str,
        payload: Result<Vec<u8>, PayloadError>,
        deadline: Duration,
    ) -> Self {
        Self { client, method, payload, deadline, idempotent: false, result: PhantomData }
    }

    /// How long to wait for the result, all attempts together; the server is told what is left of it.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Declares that to run the call twice does no harm: then it is also tried again when a connection breaks
    /// before the answer.
    pub fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }
}

impl<'a, R: DeserializeOwned> IntoFuture for Call<'a, R> {
    type Output = Result<R, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { client, method, payload, deadline, idempotent, .. } = self;
        Box::pin(async move {
            let payload = payload
                .map_err(|error| Error::Argument { method: method.into(), reason: error.to_string() })?;
            let (shared, now) = (client.shared(), clock::now());
            let call = Attempts {
                shared,
                method,
                payload: &payload,
                // A time that no clock can say is far enough away.
                deadline: now.checked_add(deadline).unwrap_or_else(|| now + FOR_EVER),
                patience: client.patience(),
                idempotent,
                may_have_run: None,
                retries: 0,
            };
            shared.budget.add_call();
            let result = call.run().await.and_then(|reply| {
                let decoded = shared.options.format.decode(&reply);
                decoded.map_err(|source| Error::Result { method: method.into(), source })
            });
            let counter = if result.is_ok() { &shared.counters.ok } else { &shared.counters.failed };
            counter.fetch_add(1, Ordering::Relaxed);
            result
        })
    }
}

/// A call on its way.
struct Attempts<'a> {
    shared: &'a Arc<Shared>,
    method: &'a str,
    payload: &'a [u8],
    deadline: Instant,
    /// How long to wait for a connection.
    patience: Duration,
    idempotent: bool,
    /// The last attempt that may have run it, if one may.
    may_have_run: Option<MayHaveRun>,
    /// Retries so far that put more load on the service.
    retries: u32,
}

/// An attempt that may have run, without a result.
#[derive(Clone)]
struct MayHaveRun {
    instance: String,
    reason: Arc<str>,
}

impl<'a> Attempts<'a> {
    async fn run(mut self) -> Result<Bytes, Error> {
        let mut avoid = None;
        for attempt in 0..MAX_ATTEMPTS {
            if attempt > 0 {
                self.shared.counters.retried.fetch_add(1, Ordering::Relaxed);
                let pause = retry::pause(attempt, fastrand::f64());
                if !pause.is_zero() {
                    sleep_until(self.deadline.min(clock::now() + pause)).await;
                }
            }
            let Some(mut running) = self.start(avoid).await? else { continue };
            avoid = Some(running.conn);
            // A connection completes its calls before it goes, and those whose time is over.
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
                let instance = running.connection.instance.clone();
                self.may_have_run = Some(MayHaveRun { instance, reason });
            }
            if attempt + 1 == MAX_ATTEMPTS || !self.may_retry(&ended) {
                return Err(self.error(ended, &running.connection.instance));
            }
        }
        Err(self.too_late())
    }

    fn may_retry(&mut self, ended: &Ended) -> bool {
        match ended.retry(self.idempotent) {
            Retry::No => false,
            Retry::Free => true,
            Retry::Counted => {
                self.retries += 1;
                self.retries <= self.shared.max_retries && self.shared.budget.take_retry()
            }
        }
    }

    /// Sends the call on the best connection that has room; `None` if that connection has just gone.
    async fn start(&self, avoid: Option<ConnId>) -> Result<Option<Running<'a>>, Error> {
        let (mut full, mut rooms) = (Vec::new(), Vec::<Wait<'_>>::new());
        loop {
            let (conn, connection) =
                self.connection(if full.is_empty() { avoid.as_slice() } else { &full }).await?;
            let started = connection.start(self.method, self.payload, clock::now(), self.deadline);
            if let Ok(Started::Sent(id, attempt)) = started {
                connection.counters.sent.fetch_add(1, Ordering::Relaxed);
                let shared = self.shared;
                return Ok(Some(Running {
                    shared,
                    conn,
                    connection,
                    id,
                    attempt,
                    outcome: Outcome::Neither,
                }));
            }
            let _ = self.shared.pool().finish(conn, Outcome::Neither);
            let room = match started {
                Ok(Started::Full(room)) => room,
                Ok(_) => return Ok(None),
                Err(error) => {
                    return Err(Error::Argument { method: self.method.into(), reason: error.to_string() });
                }
            };
            if rooms.is_empty() {
                rooms.push(Box::pin(self.shared.changed()));
            }
            rooms.push(Box::pin(room));
            if !full.contains(&conn) {
                // Another connection may have room.
                full.push(conn);
                continue;
            }
            tokio::select! {
                () = any(&mut rooms) => {}
                () = sleep_until(self.deadline) => return Err(self.too_late()),
            }
            full.clear();
            rooms.clear();
        }
    }

    /// Waits for a connection that takes a call.
    async fn connection(&self, avoid: &[ConnId]) -> Result<(ConnId, Arc<Connection>), Error> {
        if let Some(picked) = self.shared.pool().pick(avoid) {
            return Ok(picked);
        }
        let patient_until = clock::now().checked_add(self.patience);
        let until = patient_until.map_or(self.deadline, |until| until.min(self.deadline));
        loop {
            let mut changed = pin!(self.shared.changed());
            // From here on no change is missed.
            changed.as_mut().enable();
            if let Some(picked) = self.shared.pool().pick(avoid) {
                return Ok(picked);
            }
            tokio::select! {
                () = changed => {}
                () = self.shared.room() => {}
                // A last look: a runtime that was held up may find the change and the end at once.
                () = sleep_until(until) => {
                    let picked = self.shared.pool().pick(avoid);
                    return picked.ok_or_else(|| self.nobody());
                }
            }
        }
    }

    /// Why no connection took the call.
    fn nobody(&self) -> Error {
        let (service, method) = (self.shared.service.clone(), self.method.to_owned());
        if let Some(MayHaveRun { instance, reason }) = self.may_have_run.clone() {
            return Error::ConnectionLost { service, method, instance, reason: reason.to_string() };
        }
        let pool = self.shared.pool();
        if !pool.has_targets() {
            return Error::NoInstances { service };
        }
        let reason = pool.failure().unwrap_or("all connections are busy or being made").to_owned();
        Error::Unreachable { service, reason }
    }

    fn too_late(&self) -> Error {
        let (service, method) = (self.shared.service.clone(), self.method.to_owned());
        Error::Deadline { service, method, sent: self.may_have_run.is_some() }
    }

    fn error(&self, ended: Ended, instance: &str) -> Error {
        let (service, method) = (self.shared.service.clone(), self.method.to_owned());
        match ended {
            Ended::Late => self.too_late(),
            // The server's clock was a little quicker than ours; before that, it is the handler that speaks of some
            // deadline of its own.
            Ended::Failed(Status { code: Code::DEADLINE_EXCEEDED, .. })
                if clock::now() + CLOCK_SLACK >= self.deadline =>
            {
                self.too_late()
            }
            Ended::Failed(status) => Error::Status { service, method, status, not_run: false },
            // An earlier attempt may have run all the same.
            Ended::NotRun(status) => {
                Error::Status { service, method, status, not_run: self.may_have_run.is_none() }
            }
            Ended::NotSent | Ended::Lost(_) => match self.may_have_run.clone() {
                Some(MayHaveRun { instance, reason }) => {
                    Error::ConnectionLost { service, method, instance, reason: reason.to_string() }
                }
                None => {
                    Error::Unreachable { service, reason: format!("connection to {} lost", Shown(instance)) }
                }
            },
        }
    }
}

/// An attempt on its way; dropped early it is cancelled, in any case its connection is given back.
struct Running<'a> {
    shared: &'a Shared,
    conn: ConnId,
    connection: Arc<Connection>,
    id: CallId,
    attempt: oneshot::Receiver<Attempt>,
    outcome: Outcome,
}

impl Running<'_> {
    fn ended(&mut self, reply: &Attempt) {
        self.outcome = match reply {
            Ok(_) | Err(Ended::Failed(_) | Ended::NotRun(_)) => Outcome::Answered,
            Err(Ended::Late) => Outcome::Missed,
            Err(Ended::NotSent | Ended::Lost(_)) => Outcome::Neither,
        };
        if reply.is_ok() {
            self.connection.counters.ok.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if self.outcome != Outcome::Answered {
            self.connection.cancel(self.id);
        }
        let mut pool = self.shared.pool();
        let ask = pool.finish(self.conn, self.outcome);
        drop(pool);
        if ask {
            self.connection.ping();
        }
        self.shared.give_room();
    }
}

/// A wait for something that may let a call go on.
type Wait<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Waits until one of them is over.
async fn any(waits: &mut [Wait<'_>]) {
    poll_fn(|cx| {
        let is_over = waits.iter_mut().any(|wait| wait.as_mut().poll(cx).is_ready());
        if is_over { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Attempts at one call, at most.
const MAX_ATTEMPTS: u32 = 16;

/// The lead that a server's clock may have over ours at the end of a call: rounding, and the time of a timer.
const CLOCK_SLACK: Duration = Duration::from_millis(10);

/// What stands for a deadline beyond the clock.
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3600);
