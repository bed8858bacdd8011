//! A call as its caller sees it: options, then a future of the typed result. `attempts` does the work.

use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rpc_wire::PayloadError;
use serde::de::DeserializeOwned;

use crate::attempts::Attempts;
use crate::error::Error;
use crate::shared::Shared;

/// A call, made by awaiting it and cancelled by dropping it.
#[must_use = "await it"]
#[derive(Debug)]
pub struct Call<'a, R> {
    shared: &'a Shared,
    method: &'a str,
    payload: Result<Vec<u8>, PayloadError>,
    deadline: Duration,
    idempotent: bool,
    result: PhantomData<fn() -> R>,
}

impl<'a, R> Call<'a, R> {
    pub(crate) fn new(
        shared: &'a Shared,
        method: &'a str,
        payload: Result<Vec<u8>, PayloadError>,
        deadline: Duration,
    ) -> Self {
        Self { shared, method, payload, deadline, idempotent: false, result: PhantomData }
    }

    /// Sets the time to wait for the result, all attempts together. The server is told what is left of it. Inside a handler of
    /// `rpc-server` the call ends no later than the one that is handled.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Declares that running the call twice does no harm, so that it is also tried again after its connection broke
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
        let Self { shared, method, payload, deadline, idempotent, .. } = self;
        Box::pin(async move {
            let payload = payload
                .map_err(|error| Error::Argument { method: method.into(), reason: error.to_string() })?;
            let attempts = Attempts::new(shared, method, &payload, deadline.into(), idempotent);
            shared.budget.add_call();
            let result = attempts.run().await.and_then(|reply| {
                let decoded = shared.config.format.decode(&reply.payload);
                decoded.map_err(|source| Error::Result { method: method.into(), source })
            });
            let counter = if result.is_ok() { &shared.counters.ok } else { &shared.counters.failed };
            counter.fetch_add(1, Ordering::Relaxed);
            result
        })
    }
}
