//! A simulated ensemble of three servers: a client that reads the past, one whose server stops, and an election.
//! Run with `cargo run -p zk-mini --example ensemble`.

use std::time::Duration;

use zk_client::{Client, CreateMode};
use zk_mini::{Lag, ZkMini};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let zk = ZkMini::builder().servers(3).start().await?;
    println!("three servers: {}", zk.connect_string());
    let reader = Client::connect(&zk.server(1)?.connect_string()).await?;
    let writer = Client::connect(&zk.connect_string()).await?;

    // Server 1 falls behind: who forgets `sync` reads the past.
    zk.server(1)?.lag(Lag::Transactions(10)).await?;
    zk.create("/config", "new").await?;
    println!("without sync: {:?}", reader.exists("/config").await?.is_some());
    reader.sync("/config").await?;
    println!("with sync: {:?}", reader.exists("/config").await?.is_some());

    // A leader is elected: all connections close, and sessions go on.
    writer.create("/leader", "me", CreateMode::Ephemeral).await?;
    zk.server(2)?.lead().await?;
    let session = zk.session_of("/leader").ok_or("the session has ended")?;
    session.until_connected(Duration::from_secs(20)).await?;
    for server in zk.servers() {
        println!("server {}: {:?}, {:?}, at {}", server.server, server.role, server.state, server.last_zxid);
    }
    Ok(())
}
