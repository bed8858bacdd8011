//! Load: calls in a loop, several at once, and their count.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rpc_client::Client;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::CALL_DEADLINE;
use crate::services::{Pi, PiResult, Ping, Pong};

/// Counts of calls.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Tally {
    /// Calls that have ended.
    pub(crate) calls: u64,
    /// Calls with an answer.
    pub(crate) ok: u64,
    /// Calls without an answer.
    pub(crate) failed: u64,
    /// Number of retries.
    pub(crate) retried: u64,
    /// Answers by worker.
    pub(crate) by_pid: BTreeMap<u32, u64>,
    /// Error of the first failed call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_failure: Option<String>,
}

impl Tally {
    fn count(&mut self, answer: Result<u32, rpc_client::Error>) {
        self.calls += 1;
        match answer {
            Ok(pid) => {
                self.ok += 1;
                *self.by_pid.entry(pid).or_default() += 1;
            }
            Err(error) => {
                self.failed += 1;
                self.first_failure.get_or_insert_with(|| error.to_string());
            }
        }
    }
}

/// Running callers.
#[derive(Debug)]
pub(crate) struct Load {
    client: Client,
    budget: Arc<AtomicU64>,
    tally: Arc<Mutex<Tally>>,
    callers: JoinSet<()>,
}

impl Load {
    /// Starts `concurrency` callers that make `calls` calls together, each with a pause after a call.
    pub(crate) fn start(client: &Client, calls: u64, concurrency: u32, pause: Duration) -> Self {
        let budget = Arc::new(AtomicU64::new(calls));
        let tally = Arc::<Mutex<Tally>>::default();
        let callers = (0..concurrency)
            .map(|_| call_in_a_loop(client.clone(), Arc::clone(&budget), Arc::clone(&tally), pause))
            .collect();
        Self { client: client.clone(), budget, tally, callers }
    }

    /// Returns the counts so far.
    pub(crate) fn tally(&self) -> Tally {
        let tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Tally { retried: self.client.stats().retried, ..tally }
    }

    /// Makes no further call, and waits for those under way.
    pub(crate) async fn stop(self) -> Tally {
        self.budget.store(0, Ordering::Relaxed);
        self.finish().await
    }

    /// Waits until all calls are made.
    pub(crate) async fn finish(mut self) -> Tally {
        while self.callers.join_next().await.is_some() {}
        self.tally()
    }
}

async fn call_in_a_loop(client: Client, budget: Arc<AtomicU64>, tally: Arc<Mutex<Tally>>, pause: Duration) {
    let take = |left: u64| left.checked_sub(1);
    while let Ok(left) = budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
        let answer = call(&client, left).await;
        tally.lock().unwrap_or_else(PoisonError::into_inner).count(answer);
        if !pause.is_zero() {
            sleep(pause).await;
        }
    }
}

/// Makes one call; every eighth computes a little. Both methods are idempotent, so the loss of a worker costs no call.
async fn call(client: &Client, number: u64) -> Result<u32, rpc_client::Error> {
    if number.is_multiple_of(8) {
        let pi = client.call::<_, PiResult>("pi", &Pi { terms: 1_000 });
        Ok(pi.deadline(CALL_DEADLINE).idempotent().await?.pid)
    } else {
        let ping = client.call::<_, Pong>("ping", &Ping { text: number.to_string() });
        Ok(ping.deadline(CALL_DEADLINE).idempotent().await?.pid)
    }
}
