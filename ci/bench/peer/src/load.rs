//! Closed loops: each task calls, waits for the reply, and calls again.

use std::future::poll_fn;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use serde_json::json;

use crate::{Echo, Load, Peer};

const WARMING_UP: u8 = 0;
const MEASURING: u8 = 1;
const DONE: u8 = 2;

/// Latencies of all loops. One histogram for all: one for each would not fit into the cache.
struct Seen {
    nanos: Histogram<u64>,
    errors: u64,
}

pub(crate) async fn run<P: Peer>(load: &Load) -> anyhow::Result<()> {
    ensure!(
        load.conns > 0 && load.concurrency >= load.conns,
        "at least one call in flight on each connection"
    );
    let mut clients = Vec::new();
    for _ in 0..load.conns {
        clients.push(P::connect(load.connect).await.context("connect")?);
    }
    let phase = Arc::new(AtomicU8::new(WARMING_UP));
    let all = Arc::new(Mutex::new(Seen::new()?));
    let loops: Vec<_> = (0..load.concurrency)
        .map(|number| {
            let client = clients[number % load.conns].clone();
            let (phase, all) = (Arc::clone(&phase), Arc::clone(&all));
            let (number, body) = (number as u64, "x".repeat(load.body));
            if load.stream {
                tokio::spawn(take::<P>(client, number, body, phase, all))
            } else {
                tokio::spawn(call_again::<P>(client, number, body, phase, all))
            }
        })
        .collect();
    tokio::time::sleep(Duration::from_secs_f64(load.warmup)).await;
    println!("MEASURING");
    let begun = Instant::now();
    phase.store(MEASURING, Relaxed);
    tokio::time::sleep(Duration::from_secs_f64(load.seconds)).await;
    phase.store(DONE, Relaxed);
    let seconds = begun.elapsed().as_secs_f64();
    for one in loops {
        one.await?.context("call")?;
    }
    let all = lock(&all);
    let requests = all.nanos.len();
    let percentile = |p| all.nanos.value_at_quantile(p) as f64 / 1e3;
    let result = json!({
        "requests": requests, "errors": all.errors, "seconds": seconds, "rps": requests as f64 / seconds,
        "p50_us": percentile(0.5), "p99_us": percentile(0.99), "p999_us": percentile(0.999),
    });
    println!("{result}");
    Ok(())
}

impl Seen {
    /// Nanoseconds up to a minute, to three digits.
    fn new() -> anyhow::Result<Self> {
        Ok(Self { nanos: Histogram::new_with_bounds(1, 60_000_000_000, 3)?, errors: 0 })
    }
}

async fn call_again<P: Peer>(
    client: P::Client,
    number: u64,
    body: String,
    phase: Arc<AtomicU8>,
    all: Arc<Mutex<Seen>>,
) -> anyhow::Result<()> {
    let mut id = number << 32;
    let mut begun = Instant::now();
    loop {
        id += 1;
        let replied = P::call(&client, Echo { id, body: body.clone() }).await;
        // The end of a call is the beginning of the next.
        let ended = Instant::now();
        let taken = ended - std::mem::replace(&mut begun, ended);
        match (phase.load(Relaxed), replied) {
            (DONE, _) => return Ok(()),
            (WARMING_UP, replied) => drop(replied?),
            (_, Ok(echo)) => {
                ensure!(echo.id == id && echo.body.len() == body.len(), "another's reply: {echo:?}");
                lock(&all).nanos.saturating_record(u64::try_from(taken.as_nanos())?);
            }
            (_, Err(_)) => lock(&all).errors += 1,
        }
    }
}

/// Takes the messages of a stream; their times are those between two of them.
async fn take<P: Peer>(
    client: P::Client,
    id: u64,
    body: String,
    phase: Arc<AtomicU8>,
    all: Arc<Mutex<Seen>>,
) -> anyhow::Result<()> {
    let mut echoes = P::stream(&client, Echo { id, body: body.clone() }).await?;
    let mut begun = Instant::now();
    loop {
        let echo = poll_fn(|cx| echoes.as_mut().poll_next(cx)).await.context("the stream has ended")??;
        ensure!(echo.id == id && echo.body.len() == body.len(), "another's message: {echo:?}");
        let ended = Instant::now();
        let taken = ended - std::mem::replace(&mut begun, ended);
        match phase.load(Relaxed) {
            DONE => return Ok(()),
            WARMING_UP => {}
            _ => lock(&all).nanos.saturating_record(u64::try_from(taken.as_nanos())?),
        }
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
