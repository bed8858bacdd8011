//! A distributed lock: four clients count together, each holding the lock from its read to its write.
//!
//! `cargo run -p zk-client --example distributed_lock`

use std::error::Error;

use tokio::task::JoinSet;
use zk_client::{Client, CreateMode, Expected};
use zk_mini::ZkMini;

type AnyError = Box<dyn Error + Send + Sync>;

/// A lock that is held. If its client dies, the lock is free after the session timeout.
struct Lock<'a> {
    client: &'a Client,
    path: String,
}

impl<'a> Lock<'a> {
    /// Waits until no earlier client wants the lock.
    async fn acquire(client: &'a Client, root: &str) -> Result<Self, AnyError> {
        let path = client.create(&format!("{root}/lock-"), "", CreateMode::EphemeralSequential).await?.path;
        let lock = Self { client, path };
        loop {
            let (mut queue, _) = client.children(root).await?;
            queue.retain(|other| format!("{root}/{other}") < lock.path);
            let Some(before) = queue.into_iter().max() else { return Ok(lock) };
            // Only the next client wakes up when a lock is released, not all that wait.
            let (exists, mut watch) = client.exists_and_watch(&format!("{root}/{before}")).await?;
            if exists.is_some() {
                watch.changed().await?;
            }
        }
    }

    async fn release(self) -> Result<(), AnyError> {
        Ok(self.client.delete(&self.path, Expected::Any).await?)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), AnyError> {
    let zk = ZkMini::start().await?;
    let client = Client::connect(&zk.connect_string()).await?;
    client.ensure_path("/locks/counter").await?;
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
    for _ in 0..times {
        let lock = Lock::acquire(&client, "/locks/counter").await?;
        let (data, _) = client.get("/counter").await?;
        let number: u32 = std::str::from_utf8(&data)?.parse()?;
        client.set("/counter", (number + 1).to_string(), Expected::Any).await?;
        lock.release().await?;
    }
    Ok(client.close().await?)
}
