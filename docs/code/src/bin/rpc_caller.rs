//! Finds the service in ZooKeeper, and calls it while one of its workers is killed.

use std::collections::BTreeSet;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use registry::Registry;
use rpc_client::{Client, Error};

/// The methods of the service, for a typed client of it: `DemoClient`.
#[rpc_client::service]
trait Demo {
    async fn ping(&self, text: &str) -> Result<String, Status>;

    /// May be called twice, so it is tried again when its worker dies.
    #[idempotent]
    async fn pid(&self) -> Result<i32, Status>;
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let servers = std::env::args().nth(1).ok_or("usage: rpc_caller HOST:PORT")?;
    let registry = Registry::connect(&servers).await?;
    let demo = DemoClient::new(Client::builder(registry.clone(), DemoClient::SERVICE).connect().await?);
    println!("ping: {}", demo.ping("hello").await?);

    let workers = pids(&demo, 2).await?;
    println!("{} workers answer", workers.len());
    let victim = *workers.first().ok_or("no worker")?;
    kill(Pid::from_raw(victim), Signal::SIGKILL)?;
    println!("one is killed");

    // The other one answers, until the parent has replaced it.
    let mut known = workers;
    while known.len() < 3 {
        known.extend(pids(&demo, 1).await?);
    }
    let failed = demo.client().stats().failed;
    println!("another one has taken its place; calls that failed: {failed}");
    registry.close().await?;
    Ok(())
}

/// Asks who answers until so many did.
async fn pids(demo: &DemoClient, count: usize) -> Result<BTreeSet<i32>, Error> {
    let mut pids = BTreeSet::new();
    while pids.len() < count {
        pids.insert(demo.pid().await?);
    }
    Ok(pids)
}
