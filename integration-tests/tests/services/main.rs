//! The registry and RPC on zk-mini, by TCP and in memory. `tests/ensemble` has the same on a real ensemble.

mod announced;
mod preforked;
mod secured;
mod under_load;
mod whole_stack;

use integration_tests::scenarios;
use registry::Registry;
use zk_mini::ZkMini;

#[tokio::test]
async fn changes_are_seen_over_tcp() {
    let zk = ZkMini::start().await.unwrap();
    let servers = zk.connect_string();
    scenarios::registry::a_subscriber_sees_every_change_of_an_instance(async || by_tcp(&servers).await).await;
    scenarios::registry::a_newer_instance_takes_the_place_of_an_older_one(async || by_tcp(&servers).await)
        .await;
}

#[tokio::test]
async fn changes_are_seen_in_memory() {
    let zk = ZkMini::builder().in_memory().start().await.unwrap();
    scenarios::registry::a_subscriber_sees_every_change_of_an_instance(async || in_memory(&zk).await).await;
}

#[tokio::test]
async fn changes_are_seen_below_a_chroot() {
    let zk = ZkMini::start().await.unwrap();
    let servers = format!("{}/deep/down", zk.connect_string());
    scenarios::registry::a_subscriber_sees_every_change_of_an_instance(async || by_tcp(&servers).await).await;
    assert!(zk.children("/deep/down/scenario").is_some());
}

#[tokio::test]
async fn foreign_nodes_are_skipped() {
    let zk = ZkMini::start().await.unwrap();
    let client = zk_client::Client::connect(&zk.connect_string()).await.unwrap();
    scenarios::registry::foreign_nodes_are_skipped_and_reported(client).await;
}

#[tokio::test]
async fn calls_follow_the_servers_over_tcp() {
    let zk = ZkMini::start().await.unwrap();
    let servers = zk.connect_string();
    scenarios::rpc::calls_follow_the_servers(async || by_tcp(&servers).await).await;
}

#[tokio::test]
async fn calls_follow_the_servers_in_memory() {
    let zk = ZkMini::builder().in_memory().start().await.unwrap();
    scenarios::rpc::calls_follow_the_servers(async || in_memory(&zk).await).await;
}

async fn by_tcp(servers: &str) -> Registry {
    Registry::connect(servers).await.expect("connected")
}

async fn in_memory(zk: &ZkMini) -> Registry {
    Registry::builder().embedded(zk).connect().await.expect("connected")
}
