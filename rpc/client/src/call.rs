//! A call as its caller sees it: options, then a future of the typed result. `attempts` does the work.

use std::marker::PhantomData;
#[cfg(feature = "tower")]
use std::mem;
use std::pin::{Pin, pin};
#[cfg(feature = "tower")]
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rpc_wire::{Code, Metadata, PayloadError};
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tracing::Instrument;

use crate::attempts::{self, Answered, Attempts, Outgoing};
use crate::error::Error;
#[cfg(feature = "tower")]
use crate::layer::{Body, Calls, MethodKind, Request, foreign_response};
use crate::measure::Measure;
use crate::options::Options;
use crate::shared::Shared;
use crate::span;

/// A call, made by awaiting it and cancelled by dropping it.
#[must_use = "await it"]
#[derive(Debug)]
pub struct Call<'a, R> {
    shared: &'a Shared,
    #[cfg(feature = "tower")]
    layers: Option<&'a Calls>,
    method: &'a str,
    options: Options,
    deadline: Duration,
    idempotent: bool,
    hedge: Option<Duration>,
    result: PhantomData<fn() -> R>,
}

/// A call whose result comes with the circumstances of its reply; see [`Call::with_reply`].
#[must_use = "await it"]
#[derive(Debug)]
pub struct CallWithReply<'a, R>(Call<'a, R>);

/// Result of a call, and what came with it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Reply<R> {
    /// Result of the call.
    pub value: R,
    /// Names and values that the handler has set beside the result.
    pub metadata: Metadata,
    /// Identity of the process that has answered.
    pub instance: String,
}

impl<'a, R> Call<'a, R> {
    pub(crate) fn new(
        shared: &'a Shared,
        method: &'a str,
        argument: Result<Vec<u8>, PayloadError>,
        deadline: Duration,
    ) -> Self {
        Self {
            shared,
            #[cfg(feature = "tower")]
            layers: None,
            method,
            options: Options::new(argument),
            deadline,
            idempotent: false,
            hedge: None,
            result: PhantomData,
        }
    }

    /// Sets the layers around the call.
    #[cfg(feature = "tower")]
    pub(crate) fn through(mut self, layers: Option<&'a Calls>) -> Self {
        self.layers = layers;
        self
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

    /// Sets the key of the call, such as a user: with [`Balancer::ConsistentHash`](crate::Balancer::ConsistentHash) calls of the
    /// same key go to the same instance.
    pub fn key(mut self, key: impl AsRef<[u8]>) -> Self {
        self.options.set_key(key);
        self
    }

    /// Waits for an instance up to the deadline, and not only for the time that the
    /// [client waits](crate::ClientBuilder::wait_for_instance).
    pub fn wait_for_ready(mut self) -> Self {
        self.options.wait_for_ready();
        self
    }

    /// Ends at once with an error if no instance takes calls now: none is known, connected, or has room.
    pub fn fail_fast(mut self) -> Self {
        self.options.fail_fast();
        self
    }

    /// Sends the call to another instance, too, if no answer has come after a time, and takes the first result; the other
    /// attempt is cancelled. Only an [idempotent](Self::idempotent) call is sent twice. The second attempt takes a retry of
    /// [`retry_budget`](crate::ClientBuilder::retry_budget), so that a slow service does not get twice the load.
    ///
    /// A good time is what 95 of 100 calls keep, and [`hedge_slower_than`](crate::ClientBuilder::hedge_slower_than) measures it.
    pub fn hedge(mut self, after: Duration) -> Self {
        self.hedge = Some(after);
        self
    }

    /// Adds a name and a value beside the argument, for example a token. The handler finds it in its context; a name may have
    /// several values. Names are lower case; those that begin with `rpc.`, `traceparent` and `tracestate` are not for callers.
    ///
    /// A call with a name that is not allowed ends with [`Error::Argument`], and so does one with metadata to a server of
    /// version 1 of the protocol, which would lose them.
    pub fn metadata(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.options.add_metadata(name, value);
        self
    }

    /// Asks for the metadata of the reply and the identity of the process that answers, beside the result.
    ///
    /// ```
    /// # use rpc_client::Client;
    /// # use rpc_server::{Context, Server, Service, Status};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// // On the server:
    /// let length = |text: String, context: Context| async move {
    ///     context.set_reply_metadata("cache", "miss")?;
    ///     Ok::<_, Status>(text.len())
    /// };
    /// # let service = Service::builder("text").method("length", length).build();
    /// # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    /// # let addr = listener.local_addr()?.to_string();
    /// # tokio::spawn(Server::new(service).serve(listener, std::future::pending()));
    /// # let client = Client::direct("text", [addr]).connect().await?;
    /// // On the client:
    /// let reply = client.call::<_, usize>("length", "hello").with_reply().await?;
    /// assert_eq!((reply.value, reply.metadata.get("cache")), (5, Some("miss")));
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_reply(self) -> CallWithReply<'a, R> {
        CallWithReply(self)
    }
}

impl<'a, R: DeserializeOwned> Call<'a, R> {
    /// Makes the call, and passes its result on in the form that the caller wants.
    #[expect(clippy::manual_async_fn, reason = "the future of an async fn keeps its arguments twice")]
    fn run<T>(mut self, form: impl FnOnce(R, Answered) -> T) -> impl Future<Output = Result<T, Error>> {
        async move {
            let Self { shared, method, .. } = self;
            let payload = self.options.take_argument(method)?;
            let begun = Instant::now();
            let span = span::begin(&shared.config.service, method);
            span::send_context(shared.context_hook.as_ref(), &span, &mut self.options.metadata);
            let mut measure = Measure::start(shared.metrics.method(method), begun);
            shared.budget.add_call();
            let answer = pin!(self.answer(payload, begun));
            let answered =
                if span.is_disabled() { answer.await } else { answer.instrument(span.clone()).await };
            let ended = answered.as_ref().map_or_else(|_| Instant::now(), |answered| answered.at);
            let result = answered.and_then(|answered| {
                span::answered(&span, &answered.link.addr);
                let decoded = shared.config.format.decode(&answered.answer.payload);
                decoded
                    .map(|value| form(value, answered))
                    .map_err(|source| Error::Result { method: method.into(), source })
            });
            let counter = if result.is_ok() { &shared.counters.ok } else { &shared.counters.failed };
            counter.fetch_add(1, Ordering::Relaxed);
            let code = result.as_ref().map_or_else(Error::code, |_| Code::OK);
            measure.end(ended, code);
            span::end(&span, code);
            result
        }
    }

    /// Makes the call, through layers if there are any.
    async fn answer(&mut self, payload: Vec<u8>, begun: Instant) -> Result<Answered, Error> {
        let Self { shared, method, deadline, idempotent, hedge, .. } = *self;
        let Options { key, patience, .. } = self.options;
        #[cfg(feature = "tower")]
        if let Some(layers) = self.layers {
            let (method, metadata) = (method.to_owned(), mem::take(&mut self.options.metadata));
            let (payload, left) = (payload.into(), Arc::default());
            let request = Request {
                method,
                kind: MethodKind::Unary,
                metadata,
                payload,
                deadline,
                idempotent,
                key,
                patience,
                hedge,
                begun,
                left,
                kept: None,
            };
            // Boxed, so that calls without layers are small.
            return match Box::pin(layers.make(shared, request)).await?.0 {
                Body::Answer(answered) => Ok(answered),
                Body::Stream(_) => Err(foreign_response(shared, self.method)),
            };
        }
        let metadata = self.options.metadata.as_ref();
        let call = Outgoing { method, metadata, payload: &payload, idempotent, key, patience, hedge };
        let now = shared.clock.at(begun);
        Attempts::new(shared, call, attempts::deadline(shared, now, deadline), (now, begun)).run().await
    }
}

impl<'a, R: DeserializeOwned + 'a> IntoFuture for Call<'a, R> {
    type Output = Result<R, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run(|value, _| value))
    }
}

impl<'a, R: DeserializeOwned + 'a> IntoFuture for CallWithReply<'a, R> {
    type Output = Result<Reply<R>, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.0.run(|value, Answered { answer, link, .. }| Reply {
            value,
            metadata: answer.metadata,
            instance: link.instance.clone(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::testing::shared_with_links;

    #[tokio::test]
    async fn the_future_of_a_call_is_small_enough_for_the_fast_path_of_malloc() {
        let shared = shared_with_links(1);
        let call = Call::<u32>::new(&shared, "m", Ok(Vec::new()), Duration::from_secs(1));
        let future = call.run(|value, _| value);
        assert!(size_of_val(&future) <= 1_000, "{} bytes", size_of_val(&future));
    }
}
