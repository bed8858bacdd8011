//! A server in this process, with a page to look at it, until Enter is pressed: for a test that you want to stop at and see.

use zk_client::{Client, CreateMode};
use zk_mini::ZkMini;
use zk_mini_http::{Http, Settings};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let http = Http::new(Settings::default());
    let zk = http.share_port(ZkMini::builder()).start().await?;

    let worker = Client::connect(&zk.connect_string()).await?;
    worker.create("/workers", "", CreateMode::Persistent).await?;
    worker.create("/workers/a", "busy", CreateMode::Ephemeral).await?;

    println!("look at http://{}/", zk.connect_string());
    println!("or ask it: curl 'http://{}/v1/tree?path=/workers'", zk.connect_string());
    println!("Enter ends it");
    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await??;
    zk.stop().await;
    Ok(())
}
