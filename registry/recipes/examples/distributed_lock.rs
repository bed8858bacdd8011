//! A distributed lock: four clients count together, each holding the lock from its read to its write.
//!
//! `cargo run -p zk-recipes --example distributed_lock`

use std::error::Error;

use tokio::task::JoinSet;
use zk_client::{Client, CreateMode, Expected};
use zk_mini::ZkMini;
use zk_recipes::Lock;

type AnyError = Box<dyn Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), AnyError> {
    let zk = ZkMini::start().await?;
    let client = Client::connect(&zk.connect_string()).await?;
    client.create("/counter", "0", CreateMode::Persistent).await?;

    let mut workers = JoinSet::new();
    for _ in 0..4 {
        workers.spawn(count(zk.connect_string(), 5));
    }
    while let Some(done) = workers.join_next().await {
        done??;
    }

    let (data, stat) = client.get("/counter").await?;
    println!("four clients counted to {} in {} writes", String::from_utf8_lossy(&data), stat.version);
    assert_eq!(data, "20");
    assert_eq!(client.children("/locks/counter").await?.0.len(), 0);
    Ok(())
}

/// Reads, adds one and writes, without a look at the version: the lock keeps the others away.
async fn count(servers: String, times: u32) -> Result<(), AnyError> {
    let client = Client::connect(&servers).await?;
    let lock = Lock::new(&client, "/locks/counter");
    for _ in 0..times {
        let guard = lock.acquire().await?;
        tokio::select! {
            added = add_one(&client) => added?,
            // Another one may count already.
            lost = guard.lost() => return Err(format!("stopped at work: {lost:?}").into()),
        }
        guard.release().await?;
    }
    Ok(client.close().await?)
}

async fn add_one(client: &Client) -> Result<(), AnyError> {
    let (data, _) = client.get("/counter").await?;
    let number: u32 = std::str::from_utf8(&data)?.parse()?;
    client.set("/counter", (number + 1).to_string(), Expected::Any).await?;
    Ok(())
}
