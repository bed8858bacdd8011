//! The client of one service.

use std::sync::Arc;
use std::time::Duration;

use rpc_metrics::ClientMetrics;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::call::Call;
use crate::kept::Kept;
#[cfg(feature = "tower")]
use crate::layer::Calls;
use crate::pool::InstanceInfo;
use crate::shared::Shared;
use crate::stats::Stats;

/// Room for most arguments, so that few are moved while they are written.
const USUAL_PAYLOAD: usize = 128;

/// A client of one service: finds its instances, balances calls over them, and retries calls that may be retried.
///
/// Cheap to clone. All clones share their connections, which close when the last clone is dropped.
///
/// ```
/// use rpc_client::Client;
/// # use rpc_server::{Context, Server, Service, Status};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let length = |text: String, _: Context| async move { Ok::<_, Status>(text.len()) };
/// # let service = Service::builder("text").method("length", length).build();
/// # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// # let addr = listener.local_addr()?.to_string();
/// # tokio::spawn(Server::new(service).serve(listener, std::future::pending()));
/// // With a registry: `Client::builder(registry, "text").connect().await?`.
/// let client = Client::direct("text", [addr]).connect().await?;
/// let length: usize = client.call("length", "hello").idempotent().await?;
/// assert_eq!(length, 5);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    inner: Arc<Inner>,
}

/// Parts of a [`Client`].
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) kept: Arc<Kept>,
    pub(crate) deadline: Duration,
    #[cfg(feature = "tower")]
    pub(crate) layers: Option<Calls>,
}

impl Client {
    pub(crate) fn new(inner: Inner) -> Self {
        Self { inner: Arc::new(inner) }
    }

    /// Prepares a call of a method. Nothing is sent before it is awaited.
    pub fn call<'a, A, R>(&'a self, method: &'a str, argument: &A) -> Call<'a, R>
    where
        A: Serialize + ?Sized,
        R: DeserializeOwned,
    {
        let shared = self.shared();
        let mut payload = Vec::with_capacity(USUAL_PAYLOAD);
        let encoded = shared.config.format.encode(argument, &mut payload);
        let call = Call::new(shared, method, encoded.map(|()| payload), self.inner.deadline);
        #[cfg(feature = "tower")]
        let call = call.through(self.layers());
        call
    }

    #[cfg(feature = "tower")]
    pub(crate) fn layers(&self) -> Option<&Calls> {
        self.inner.layers.as_ref()
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.inner.kept.shared
    }

    pub(crate) fn kept(&self) -> &Arc<Kept> {
        &self.inner.kept
    }

    /// Returns counts of the calls so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let Shared { counters, metrics, .. } = &**self.shared();
        counters.stats(metrics)
    }

    /// Returns the counts, latencies and calls in flight of this client, by method and by instance, now and later.
    ///
    /// ```no_run
    /// # fn f(client: &rpc_client::Client) {
    /// let snapshot = client.metrics().snapshot();
    /// let latencies = snapshot.distribution("rpc_client_call_duration_seconds", &[("method", "price")]);
    /// println!("{} calls, p99 {:?}", latencies.count(), latencies.percentile(99.0));
    /// println!("{}", snapshot.to_text());
    /// # }
    /// ```
    #[must_use]
    pub fn metrics(&self) -> Arc<ClientMetrics> {
        Arc::clone(&self.shared().metrics)
    }

    /// Returns what the client knows of each instance now: its share, its state, its load.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use rpc_client::{Client, InstanceState};
    ///
    /// let client = Client::direct("text", ["127.0.0.1:1"]).connect().await?;
    /// for instance in client.instances() {
    ///     println!("{} {:?}: {} calls, {:?}", instance.addr, instance.state, instance.sent, instance.latency);
    /// }
    /// assert_eq!(client.instances()[0].state, InstanceState::Connecting);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn instances(&self) -> Vec<InstanceInfo> {
        let shared = self.shared();
        let known = shared.pool().view(shared.clock.now());
        known.into_iter().map(|info| shared.counters.complete(info)).collect()
    }
}
