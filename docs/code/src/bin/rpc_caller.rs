//! Finds the service in ZooKeeper, and calls it while one of its workers is killed.

use std::collections::BTreeSet;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use registry::Registry;
use rpc_client::{Client, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let servers = std::env::args().nth(1).ok_or("usage: rpc_caller HOST:PORT")?;
    let registry = Registry::connect(&servers).await?;
    let client = Client::builder(registry.clone(), "demo").connect().await?;
    let text: String = client.call("ping", "hello").await?;
    println!("ping: {text}");

    let workers = pids(&client, 2).await?;
    println!("{} workers answer", workers.len());
    let victim = *workers.first().ok_or("no worker")?;
    kill(Pid::from_raw(victim), Signal::SIGKILL)?;
    println!("one is killed");

    // The other one answers, until the parent has replaced it.
    let mut known = workers;
    while known.len() < 3 {
        known.extend(pids(&client, 1).await?);
    }
    println!("another one has taken its place; calls that failed: {}", client.stats().failed);
    registry.close().await?;
    Ok(())
}

/// Asks who answers until so many did. The call may be made twice, so it is tried again when its worker dies.
async fn pids(client: &Client, count: usize) -> Result<BTreeSet<i32>, Error> {
    let mut pids = BTreeSet::new();
    while pids.len() < count {
        pids.insert(client.call("pid", &()).idempotent().await?);
    }
    Ok(pids)
}
