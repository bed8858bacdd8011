//! Overload: clients send up to 64 times what a server can do, in an open loop, each call with a deadline of 50 ms. Shows how much
//! of the capacity ends in time, without a limit on calls in flight, with fixed ones, and with the adaptive one.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rpc_client::Client;
use rpc_server::{Context, Limits, Server, Service, Status};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval, sleep};

/// Calls a second that the server can do: eight at a time of 8 ms each, or one at a time of 1 ms.
const CAPACITY: u32 = 1_000;
const DEADLINE: Duration = Duration::from_millis(50);
const WARM_UP: Duration = Duration::from_secs(2);
const LOADS: [u32; 4] = [1, 2, 8, 64];

/// Sets the limit that is measured.
type SetLimit = fn(&mut Limits);

fn main() -> Result<()> {
    let seconds =
        std::env::args().nth(1).map_or(Ok(4.0), |text| text.parse()).context("a number of seconds")?;
    let limits: [(&str, SetLimit); 4] = [
        ("none", |_| ()),
        ("16, by somebody who has measured", |limits| limits.in_flight = 16),
        ("1,024, by somebody who has not", |limits| limits.in_flight = 1_024),
        ("adaptive", |limits| limits.adaptive = true),
    ];
    println!("| handler | limit | 1 × | 2 × | 8 × | 64 × |\n| --- | --- | ---: | ---: | ---: | ---: |");
    for handler in ["waits", "computes"] {
        for (name, set) in limits {
            let cells: Result<Vec<_>> =
                LOADS.iter().map(|load| measure(handler, set, *load, seconds)).collect();
            println!("| {handler} | {name} | {} |", cells?.join(" | "));
        }
    }
    Ok(())
}

/// Returns the part of the capacity that ended in time, and the latency of those calls.
fn measure(handler: &'static str, set: fn(&mut Limits), load: u32, seconds: f64) -> Result<String> {
    let mut limits = Limits::default();
    limits.in_flight_per_connection = 16_384;
    limits.in_flight_per_peer = Some(16_384);
    set(&mut limits);
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let addr = listener.local_addr()?.to_string();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = thread::spawn(move || -> Result<()> {
        Builder::new_current_thread().enable_all().build()?.block_on(async {
            let server = Server::new(service()).limits(limits);
            tokio::select! {
                served = server.serve(TcpListener::from_std(listener)?, std::future::pending()) => drop(served?),
                _ = stopped => {}
            }
            Ok(())
        })
    });
    let cell =
        Builder::new_current_thread().enable_all().build()?.block_on(offer(addr, handler, load, seconds));
    drop(stop);
    server.join().map_err(|_| anyhow::anyhow!("the server panicked"))??;
    cell
}

fn service() -> Service {
    let places = Arc::new(Semaphore::new(8));
    let waits = move |(): (), _: Context| {
        let places = Arc::clone(&places);
        async move {
            let _place = places.acquire().await.map_err(|error| Status::internal(error.to_string()))?;
            sleep(Duration::from_millis(8)).await;
            Ok::<_, Status>(())
        }
    };
    // After an `await`, as with most handlers: all that have arrived take turns.
    let computes = |(): (), _: Context| async {
        for _ in 0..10 {
            tokio::task::yield_now().await;
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_micros(100) {}
        }
        Ok::<_, Status>(())
    };
    Service::builder("bench").method("waits", waits).method("computes", computes).build()
}

async fn offer(addr: String, handler: &'static str, load: u32, seconds: f64) -> Result<String> {
    // No retries: they would add to the load.
    let client = Client::direct("bench", [addr]).max_retries(0).connect().await?;
    let (good, micros) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let begun = Instant::now();
    let (warm, end) = (begun + WARM_UP, begun + WARM_UP + Duration::from_secs_f64(seconds));
    let mut tick = interval(Duration::from_millis(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut offered, per_tick) = (0_u64, CAPACITY / 1_000 * load);
    while Instant::now() < end {
        tick.tick().await;
        for _ in 0..per_tick {
            let (client, good, micros) = (client.clone(), Arc::clone(&good), Arc::clone(&micros));
            let sent = Instant::now();
            let counts = sent >= warm;
            offered += u64::from(counts);
            tokio::spawn(async move {
                let answer = client.call::<_, ()>(handler, &()).deadline(DEADLINE).await;
                if counts && answer.is_ok() {
                    good.fetch_add(1, Relaxed);
                    micros.fetch_add(u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX), Relaxed);
                }
            });
        }
    }
    sleep(2 * DEADLINE).await;
    let (good, micros) = (good.load(Relaxed), micros.load(Relaxed));
    let part = 100.0 * good as f64 / (seconds * f64::from(CAPACITY));
    let latency = micros as f64 / 1e3 / good.max(1) as f64;
    let really = offered as f64 / (seconds * f64::from(CAPACITY));
    eprintln!("{handler}, {load} ×: {really:.1} × offered, {good} in time");
    Ok(format!("{part:.0} %, {latency:.0} ms"))
}
