//! Registers a service: one ephemeral node that lives as long as this process.

use std::env::args;

use serde_json::json;
use tokio::signal::ctrl_c;
use zk_client::{Client, CreateMode};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let usage = "usage: producer HOST:PORT HOST:PORT";
    let servers = args().nth(1).ok_or(usage)?;
    let address = args().nth(2).ok_or(usage)?;
    let (host, port) = address.rsplit_once(':').ok_or(usage)?;

    let zk = Client::connect(&servers).await?;
    zk.ensure_path("/demo").await?;
    let data = json!({ "host": host, "port": port.parse::<u16>()? }).to_string();
    let node = zk.create("/demo/rpc", data, CreateMode::EphemeralSequential).await?;
    println!("announced {}", node.path);

    ctrl_c().await?;
    zk.close().await?; // closes the session: the node goes at once
    println!("stopped");
    Ok(())
}
