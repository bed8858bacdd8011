use zk_client::{Client, CreateMode};

#[tokio::test]
async fn a_leader_that_falls_silent_is_gone() -> Result<(), Box<dyn std::error::Error>> {
    let zk = zk_mini::ZkMini::builder().manual_clock().start().await?; // listens on a free port
    let client = Client::connect(&zk.connect_string()).await?; // or kazoo, Curator, ...
    client.create("/leader", "me", CreateMode::Ephemeral).await?;
    zk.advance(std::time::Duration::from_secs(30)).await; // its session expires, now
    assert!(zk.get("/leader").is_none()); // seen without a client
    Ok(())
}
