//! A test that asks why a node is gone. Four nodes, four reasons.
//!
//! The bug that it finds is behind every test that fails now and then because "the leader is missing": without the reason, a
//! client that deletes too much looks like one that is too slow to ping, or like another test that cleans up.
//!
//! `cargo run -p zk-mini --example explain`

use std::error::Error;
use std::time::Duration;

use zk_client::{Client, CreateMode, Expected};
use zk_mini::ZkMini;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let zk = ZkMini::builder().manual_clock().start().await?;
    let client = Client::connect(&zk.connect_string()).await?;
    let other = Client::connect(&zk.connect_string()).await?;

    // Deleted by a request of another client.
    client.create("/a", "", CreateMode::Ephemeral).await?;
    other.delete("/a", Expected::Any).await?;
    let reason = zk.explain("/a");
    println!("{reason}\n");
    let [created, deleted] = &reason.changes[..] else { return Err("not two changes".into()) };
    assert!(!reason.exists && created.session != deleted.session);

    // Its client has closed the session.
    client.create("/b", "", CreateMode::Ephemeral).await?;
    client.close().await?;
    println!("{}\n", zk.explain("/b"));
    assert!(zk.explain("/b").to_string().contains("closed by its client"));

    // The test has ended the session.
    other.create("/c", "", CreateMode::Ephemeral).await?;
    zk.session_of("/c").ok_or("the node has an owner")?.expire().await;
    println!("{}\n", zk.explain("/c"));
    assert!(zk.explain("/c").to_string().contains("expired by the test"));

    // Its client was silent for too long: it pings in real time, and the server's is another.
    let silent = Client::connect(&zk.connect_string()).await?;
    silent.create("/d", "", CreateMode::Ephemeral).await?;
    zk.advance(Duration::from_secs(30)).await;
    println!("{}", zk.explain("/d"));
    assert!(zk.explain("/d").to_string().contains("last heard"));
    Ok(())
}
