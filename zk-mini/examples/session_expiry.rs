//! A leader whose session expires and a standby that takes over: half a minute of ZooKeeper's time in a few milliseconds.
//!
//! `cargo run -p zk-mini --example session_expiry`

use std::error::Error;
use std::time::Duration;

use zk_client::{Client, CreateMode, EventType};
use zk_mini::ZkMini;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // Time moves when the test says so, and connections need no socket.
    let zk = ZkMini::builder().manual_clock().in_memory().start().await?;
    let leader = client(&zk, Duration::from_secs(10)).await?;
    let standby = client(&zk, Duration::from_secs(40)).await?;

    leader.create("/leader", "one", CreateMode::Ephemeral).await?;
    let (_, _, mut watch) = standby.get_and_watch("/leader").await?;

    // The clients ping by the real clock, so for the server both are silent. Only one session is that short.
    zk.advance(Duration::from_secs(30)).await;

    let event = watch.changed().await?;
    assert_eq!((&event.path[..], event.event), ("/leader", EventType::NODE_DELETED));
    standby.create("/leader", "two", CreateMode::Ephemeral).await?;

    let (data, _) = zk.get("/leader").ok_or("there is no leader")?;
    assert_eq!(data, "two");
    assert_eq!(zk.sessions().len(), 1);
    println!("30 seconds later {} leads", String::from_utf8_lossy(&data));
    Ok(())
}

async fn client(zk: &ZkMini, session_timeout: Duration) -> Result<Client, zk_client::Error> {
    let connector = zk.connector();
    let via = zk_client::connect_fn(move || std::future::ready(connector.connect()));
    Client::builder().via(via).session_timeout(session_timeout).connect().await
}
