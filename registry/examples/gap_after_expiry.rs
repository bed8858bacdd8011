//! A test of the gap between "expired" and "cleaned up": the session is gone, and its nodes are still there for a while.
//!
//! The bug that it finds: a service with a node of a fixed name comes back in a new session, meets its old node, and takes it
//! for its own. The server cleans up, and nobody registers again. The recipe in this file has it; the registry does not.
//!
//! `cargo run -p zk-registry --features embedded --example gap_after_expiry`

use std::error::Error;
use std::time::Duration;

use registry::{Instance, Registry};
use zk_client::{Client, CreateMode, ErrorCode};
use zk_mini::{On, Then, ZkMini};

const GAP: Duration = Duration::from_secs(30);

// Time is tokio's, which is paused: half a minute passes in no time.
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Box<dyn Error>> {
    let zk = ZkMini::builder().in_memory().auto_advance().start().await?;
    let connector = zk.connector();
    let via = zk_client::connect_fn(move || std::future::ready(connector.connect()));
    let plain = Client::builder().via(via).connect().await?;
    register(&plain).await?;
    let registry = Registry::builder().embedded(&zk).connect().await?;
    let _registration = registry.register("demo", Instance::new("127.0.0.1", 8080)).await?;

    // Both sessions expire; their nodes stay for a while.
    let held = zk.fault(On::expiry(), Then::hold_ephemerals(GAP));
    assert_eq!(zk.all_sessions().expire().await, 2);
    held.until_fired_times(2).await?;
    assert!(zk.get("/plain/127.0.0.1:8080").is_some(), "the node of a dead session");

    // Both come back in new sessions. This is what the plain one does then.
    zk.wait_for(|zk| zk.sessions().len() == 2, GAP / 2).await?;
    register(&plain).await?;
    zk.wait_for(|zk| count(zk, "/demo") == 2, GAP / 2).await?;

    tokio::time::sleep(GAP).await;
    assert_eq!(count(&zk, "/demo"), 1, "the old node is gone, the new one stays");
    assert_eq!(count(&zk, "/plain"), 0, "the plain one believes that it is registered");
    println!("after the gap: the registry has its node, the plain recipe none");
    Ok(())
}

/// Registers under a fixed name, at the start and in each new session. It has the bug.
async fn register(client: &Client) -> Result<(), zk_client::Error> {
    client.ensure_path("/plain").await?;
    match client.create("/plain/127.0.0.1:8080", "", CreateMode::Ephemeral).await {
        Err(error) if error.code() == Some(ErrorCode::NODE_EXISTS) => Ok(()),
        created => created.map(drop),
    }
}

fn count(zk: &zk_mini::Handle, path: &str) -> usize {
    zk.children(path).map_or(0, |nodes| nodes.len())
}
