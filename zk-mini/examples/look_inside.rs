//! The state of a running server, without a client: nodes, sessions, watches, connections.
//!
//! `cargo run -p zk-mini --example look_inside`

use std::error::Error;

use zk_client::{Client, CreateMode};
use zk_mini::{Handle, WatchKind, ZkMini};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let zk = ZkMini::start().await?;
    let service = Client::connect(&zk.connect_string()).await?;
    service.ensure_path("/services/echo").await?;
    service.create("/services/echo/n-", "127.0.0.1:8080", CreateMode::EphemeralSequential).await?;
    let caller = Client::connect(&zk.connect_string()).await?;
    let (_, _, _watch) = caller.children_and_watch("/services/echo").await?;

    print_tree(&zk, "/");
    for session in zk.sessions() {
        println!("session {} owns {:?}", session.id, session.ephemerals);
    }
    for connection in zk.connections() {
        println!("connection {:?} from {:?}", connection.id, connection.remote);
    }
    let watches = zk.watches();
    println!("watches: {watches:?}");

    assert_eq!((zk.sessions().len(), zk.connections().len()), (2, 2));
    assert!(matches!(&watches[..], [watch] if watch.kind == WatchKind::Children));
    Ok(())
}

fn print_tree(zk: &Handle, path: &str) {
    let Some((data, stat)) = zk.get(path) else { return };
    println!("{path} {:?} version {}", String::from_utf8_lossy(&data), stat.version);
    for child in zk.children(path).unwrap_or_default() {
        print_tree(zk, &format!("{}/{child}", path.trim_end_matches('/')));
    }
}
