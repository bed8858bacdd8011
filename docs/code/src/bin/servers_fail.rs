//! A client of an ensemble whose servers die, whose server lags, and which loses its quorum.

use std::time::Duration;

use tokio::time::timeout;
use zk_client::{Client, CreateMode, Error};
use zk_mini::{Lag, ZkMini};

/// Time for what should happen at once.
const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let zk = ZkMini::builder().servers(3).start().await?;
    zk.create("/limit", "10").await?;
    let client = Client::connect(&zk.connect_string()).await?;
    for number in 1..=3 {
        zk.server(number)?.stop().await;
        println!("without server {number}: {}", timeout(PATIENCE, limit(&client)).await??);
        zk.server(number)?.start().await?;
    }

    let reader = Client::connect(&zk.server(1)?.connect_string()).await?;
    zk.server(2)?.lead().await?; // a leader does not lag
    limit(&reader).await?;
    zk.server(1)?.lag(Lag::Transactions(5)).await?;
    zk.set("/limit", "20").await?;
    print!("server 1 lags: {}", limit(&reader).await?);
    reader.sync("/limit").await?;
    println!(", after a sync: {}", limit(&reader).await?);
    zk.server(1)?.lag(Lag::None).await?;

    zk.lose_quorum().await;
    let newcomer = Client::builder().servers(zk.connect_string()).read_only(true).connect().await?;
    print!("no quorum: {}", limit(&newcomer).await?);
    let written = newcomer.create("/a", "", CreateMode::Persistent).await;
    println!(", and a write is refused: {}", written.is_err());
    zk.regain_quorum().await;
    println!("a quorum again: {}", timeout(PATIENCE, limit(&client)).await??);
    Ok(())
}

/// Reads the limit. A connection that breaks meanwhile is no reason to give up: the client goes on at another server.
async fn limit(client: &Client) -> Result<String, Error> {
    loop {
        match client.get("/limit").await {
            Err(error) if error.is_retryable() => tokio::task::yield_now().await,
            answer => return Ok(String::from_utf8_lossy(&answer?.0).into_owned()),
        }
    }
}
