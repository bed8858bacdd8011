//! A test of a lost reply: the server creates the node, and its answer does not arrive.
//!
//! The bug that it finds: a client that tries again after a broken connection registers twice. Every caller sees two
//! instances where there is one, and withdrawing leaves the other behind. The recipe in this file has it; the registry does not.
//!
//! `cargo run -p zk-registry --features embedded --example lost_reply`

use std::error::Error;

use registry::{Instance, Registry};
use zk_client::{Client, CreateMode};
use zk_mini::{On, Then, ZkMini};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let zk = ZkMini::start().await?;

    // The first create below /demo succeeds, since the parent exists, and the connection breaks in place of its reply.
    zk.create("/demo", "").await?;
    let lost = zk.fault(On::create("/demo/**").nth(1), Then::apply_and_lose_reply());
    let registry = Registry::connect(&zk.connect_string()).await?;
    let registration = registry.register("demo", Instance::new("127.0.0.1", 8080)).await?;
    assert_eq!(lost.fired(), 1);
    assert_eq!(zk.children("/demo").map(|nodes| nodes.len()), Some(1), "and not two");
    registration.withdraw().await?;
    assert_eq!(zk.children("/demo").map(|nodes| nodes.len()), Some(0));

    // The same test of a recipe that is often written by hand.
    let client = Client::connect(&zk.connect_string()).await?;
    client.create("/plain", "", CreateMode::Persistent).await?;
    let lost = zk.fault(On::create("/plain/**").nth(1), Then::apply_and_lose_reply());
    while let Err(error) = client.create("/plain/n-", "127.0.0.1:8080", CreateMode::EphemeralSequential).await
    {
        assert!(error.is_retryable());
    }
    assert_eq!(lost.fired(), 1);
    assert_eq!(zk.children("/plain").map(|nodes| nodes.len()), Some(2), "one instance, seen twice");

    println!("after a lost reply: the registry has one node, the plain recipe two");
    Ok(())
}
