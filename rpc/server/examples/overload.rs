//! Limits: a server answers at once when it cannot take a call, and says that nothing of the call ran, so that its client
//! can try another instance.
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
    Ok(())
}
