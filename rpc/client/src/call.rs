//! One call, as its caller makes it.

use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rpc_wire::PayloadError;
use serde::de::DeserializeOwned;

use crate::attempts::Attempts;
use crate::{Client, Error};

/// A call that is made by awaiting it. Dropping it on the way cancels it.
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

    /// Sets the time to wait for the result, all attempts together. The server is told what is left of it.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Declares that running the call twice does no harm. It is then also tried again after a connection broke before
    /// the answer.
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
            let shared = client.shared();
            let attempts = Attempts::new(client, method, &payload, deadline.into(), idempotent);
            shared.budget.add_call();
            let result = attempts.run().await.and_then(|reply| {
                let decoded = shared.config.format.decode(&reply);
                decoded.map_err(|source| Error::Result { method: method.into(), source })
            });
            let counter = if result.is_ok() { &shared.counters.ok } else { &shared.counters.failed };
            counter.fetch_add(1, Ordering::Relaxed);
            result
        })
    }
}
