//! A server with a data directory is stopped and started again: nodes and sessions are as they were. The files are Apache
//! ZooKeeper's, which can take over the directory.
//!
//! `cargo run -p zk-mini --example keep_data`

use std::error::Error;

use zk_client::{Client, CreateMode};
use zk_mini::ZkMini;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let zk = ZkMini::builder().data_dir(dir.path()).start().await?;
    let client = Client::connect(&zk.connect_string()).await?;
    client.create("/jobs", "", CreateMode::Persistent).await?;
    client.create("/jobs/running-here", "", CreateMode::Ephemeral).await?;
    let (address, zxid) = (zk.addr().ok_or("no address")?, zk.last_zxid());
    zk.stop().await;

    let zk = ZkMini::builder().listen(address).data_dir(dir.path()).start().await?;
    assert_eq!(zk.last_zxid(), zxid);
    // The client reconnects with its session, so its ephemeral node is still there.
    client.create("/jobs/next-", "", CreateMode::PersistentSequential).await?;
    let children = zk.children("/jobs").ok_or("no jobs")?;
    assert_eq!(children, ["next-0000000001", "running-here"]);
    println!("after a restart, zxid {zxid}: {children:?}");
    Ok(())
}
