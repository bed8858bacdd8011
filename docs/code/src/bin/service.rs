//! An RPC service of two processes on one port, each of which announces itself in ZooKeeper.

use std::process::id;

use rpc_server::{Prefork, PreforkOptions, Status};

/// The methods of the service `demo`: those of the trait.
#[rpc_server::service]
trait Demo {
    /// Returns the text.
    async fn ping(&self, text: String) -> Result<String, Status>;

    /// Returns the id of the process that answers.
    async fn pid(&self) -> Result<u32, Status>;
}

struct Worker;

impl Demo for Worker {
    async fn ping(&self, text: String) -> Result<String, Status> {
        Ok(text)
    }

    async fn pid(&self) -> Result<u32, Status> {
        Ok(id())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let servers = std::env::args().nth(1).ok_or("usage: service HOST:PORT")?;
    // Runs in each worker, after the fork. The parent has no runtime and no thread.
    Prefork::new(|_slot| Worker.into_service())
        .options(PreforkOptions::default().workers(2))
        .zookeeper(servers)
        .on_ready(|address| println!("ready {address}"))
        .run()?;
    println!("stopped");
    Ok(())
}
