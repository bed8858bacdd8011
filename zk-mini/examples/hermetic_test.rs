//! A hermetic test of code that talks to ZooKeeper: a server of its own on a free port, which any client can use, and a
//! look inside without a client.
//!
//! `cargo run -p zk-mini --example hermetic_test`

use std::error::Error;

use zk_client::{Client, CreateMode};
use zk_mini::ZkMini;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let zk = ZkMini::start().await?;

    // The code under test: it knows a connect string and nothing of zk-mini.
    save_setting(&zk.connect_string(), "/settings", b"blue").await?;

    let (data, stat) = zk.get("/settings").ok_or("the setting was not saved")?;
    assert_eq!((&data[..], stat.version.0), (&b"blue"[..], 0));
    assert!(zk.sessions().is_empty(), "the client has closed its session");
    println!("saved {:?} in {}", String::from_utf8_lossy(&data), zk.connect_string());
    Ok(())
}

async fn save_setting(servers: &str, path: &str, value: &'static [u8]) -> Result<(), zk_client::Error> {
    let client = Client::connect(servers).await?;
    client.create(path, value, CreateMode::Persistent).await?;
    client.close().await
}
