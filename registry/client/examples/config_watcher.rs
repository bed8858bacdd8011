//! A config watcher: a task keeps the value of a node at hand, also when the server is restarted under it.
//!
//! `cargo run -p zk-client --example config_watcher`

use std::error::Error;

use tokio::sync::watch;
use zk_client::{Client, CreateMode, ErrorCode, Expected};
use zk_mini::ZkMini;

const NODE: &str = "/config/log-level";
const DEFAULT: &str = "info";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let data = tempfile::tempdir()?;
    let zk = ZkMini::builder().data_dir(data.path()).start().await?;
    let admin = Client::connect(&zk.connect_string()).await?;
    admin.ensure_path("/config").await?;

    let (level, mut levels) = watch::channel(String::new());
    let service = Client::connect(&zk.connect_string()).await?;
    let follower = tokio::spawn({
        let service = service.clone();
        async move { follow(&service, level).await }
    });
    see(&mut levels, DEFAULT).await?;

    admin.create(NODE, "debug", CreateMode::Persistent).await?;
    see(&mut levels, "debug").await?;

    admin.set(NODE, "warn", Expected::Any).await?;
    see(&mut levels, "warn").await?;

    let addr = zk.addr().ok_or("it listens")?;
    zk.stop().await;
    let _zk = ZkMini::builder().data_dir(data.path()).listen(addr).start().await?;
    // The connection may break under the write. Setting the value once more does no harm.
    while let Err(error) = admin.set(NODE, "error", Expected::Any).await {
        assert!(error.is_retryable(), "{error}");
    }
    see(&mut levels, "error").await?;

    admin.delete(NODE, Expected::Any).await?;
    see(&mut levels, DEFAULT).await?;

    service.close().await?;
    follower.await??;
    Ok(())
}

/// Reads the node now and after each change. An update that says that changes may have been missed is a reason to read
/// again, too.
async fn follow(client: &Client, level: watch::Sender<String>) -> Result<(), zk_client::Error> {
    let mut changes = client.watch_persistent(NODE).await?;
    loop {
        match client.get(NODE).await {
            Ok((data, _)) => level.send_replace(String::from_utf8_lossy(&data).into_owned()),
            Err(error) if error.code() == Some(ErrorCode::NO_NODE) => level.send_replace(DEFAULT.to_owned()),
            // The next call waits for a connection.
            Err(error) if error.is_retryable() => continue,
            Err(error) => return Err(error),
        };
        if changes.next().await.is_none() {
            return Ok(());
        }
    }
}

/// Waits until the service uses this level.
async fn see(levels: &mut watch::Receiver<String>, expected: &str) -> Result<(), Box<dyn Error>> {
    levels.wait_for(|level| level == expected).await?;
    println!("the service logs at level {expected}");
    Ok(())
}
