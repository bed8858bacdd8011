//! Limits: a server answers at once when it cannot take a call, and says that nothing of the call ran, so that its client
//! can try another instance. The right limit on calls in flight is hard to know; an adaptive one follows the server's capacity.
//!
//! ```sh
//! cargo run -p rpc-server --example overload
//! ```

use std::error::Error;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use rpc_client::Client;
use rpc_server::{Code, Context, Limits, Server, Service, Status};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // Each call ends when it gets a permit.
    let permits = Arc::new(Semaphore::new(0));
    let ends = Arc::clone(&permits);
    let resize = move |image: String, _: Context| {
        let ends = Arc::clone(&ends);
        async move {
            let permit = ends.acquire().await.map_err(|error| Status::internal(error.to_string()))?;
            permit.forget();
            Ok::<_, Status>(image.len())
        }
    };
    let service = Service::builder("images").method("resize", resize).build();
    let mut limits = Limits::default();
    limits.in_flight = 2;
    limits.in_flight_per_peer = Some(2);
    limits.max_frame = 64 << 10;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?.to_string();
    tokio::spawn(Server::new(service).limits(limits).serve(listener, pending()));

    // With retries, the client would send refused calls again, to other instances first.
    let client = Client::direct("images", [addr]).max_retries(0).connect().await?;
    let mut calls = JoinSet::new();
    for name in ["1.png", "2.png", "3.png", "4.png", "5.png"] {
        let client = client.clone();
        calls.spawn(async move { client.call::<_, usize>("resize", name).await });
    }
    for _ in 0..3 {
        let refused = calls.join_next().await.ok_or("five calls")??;
        let error = refused.err().ok_or("two calls may run")?;
        println!("refused: {error}");
        assert_eq!(error.code(), Code::RESOURCE_EXHAUSTED);
        assert!(!error.may_have_been_applied());
    }
    permits.add_permits(2);
    while let Some(done) = calls.join_next().await {
        println!("done: an image of {} bytes", done??);
    }

    let long = client.call::<_, usize>("resize", &"x".repeat(100_000)).await;
    let error = long.err().ok_or("the server takes 64 KiB")?;
    println!("too long: {error}");
    assert_eq!(error.code(), Code::INVALID_ARGUMENT);

    let late = client.call::<_, usize>("resize", "6.png").deadline(Duration::from_millis(20)).await;
    let error = late.err().ok_or("no permit is left")?;
    println!("too late: {error}");
    assert_eq!(error.code(), Code::DEADLINE_EXCEEDED);

    // From here on the time is simulated.
    tokio::time::pause();
    let fixed = in_time(Limits::default()).await?;
    let mut limits = Limits::default();
    limits.adaptive = true;
    let adaptive = in_time(limits).await?;
    println!("four times too many calls: {fixed} of 500 end in time; with an adaptive limit {adaptive}");
    assert!(adaptive > 2 * fixed);
    Ok(())
}

/// Sends 2,000 calls a second to a server that can do 500. Returns how many end in time in the second of two seconds.
async fn in_time(limits: Limits) -> Result<usize, Box<dyn Error>> {
    let places = Arc::new(Semaphore::new(4));
    let resize = move |(): (), _: Context| {
        let places = Arc::clone(&places);
        async move {
            let _place = places.acquire().await.map_err(|error| Status::internal(error.to_string()))?;
            sleep(Duration::from_millis(8)).await;
            Ok::<_, Status>(())
        }
    };
    let service = Service::builder("images").method("resize", resize).build();
    let connector = Server::new(service).limits(limits).in_memory();
    let client = Client::in_memory("images", move || connector.connect()).max_retries(0).connect().await?;
    let mut calls = JoinSet::new();
    let mut tick = interval(Duration::from_millis(1));
    for millis in 0..2_000_u32 {
        tick.tick().await;
        for _ in 0..2 {
            let client = client.clone();
            calls.spawn(async move {
                let call = client.call::<_, ()>("resize", &()).deadline(Duration::from_millis(50));
                call.await.is_ok() && millis >= 1_000
            });
        }
    }
    Ok(calls.join_all().await.into_iter().filter(|in_time| *in_time).count())
}
