//! Makes an ephemeral node with a number, and ends: by itself, or, with --crash, as a process ends that is killed.

use nix::sys::signal::{Signal, raise};
use zk_client::{Client, CreateMode};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let servers = std::env::args().nth(1).ok_or("usage: announce HOST:PORT [--crash]")?;
    let zk = Client::connect(&servers).await?;
    zk.ensure_path("/demo").await?;
    let data = r#"{"host":"127.0.0.1","port":8080}"#;
    let created = zk.create("/demo/rpc", data, CreateMode::EphemeralSequential).await?;
    println!("created {}", created.path);
    let (mut children, _) = zk.children("/demo").await?;
    children.sort();
    println!("now there are {children:?}");

    if std::env::args().any(|argument| argument == "--crash") {
        raise(Signal::SIGKILL)?;
    }
    zk.close().await?;
    Ok(())
}
