//! A fleet on its way from Java to Rust. The new instance is published in two formats at once, so that callers with Apache
//! Curator find it as they find the old ones; a caller in Rust reads both formats, and sees each instance once.
//!
//! `cargo run -p zk-registry --features embedded --example curator_fleet`

use std::error::Error;
use std::sync::Arc;

use registry::codec::{Codec, Curator, Json};
use registry::{Instance, Members, RegisterOptions, Registry, Status, SubscribeOptions, Subscription};
use zk_mini::ZkMini;

/// Curator's `basePath`.
const BASE: &str = "/discovery";

/// Data that Curator writes for an instance without a payload.
const OLD: &str = r#"{"name":"orders","id":"old","address":"10.0.0.1","port":8080,"sslPort":null,"payload":null,
    "registrationTimeUTC":1700000000000,"serviceType":"DYNAMIC","uriSpec":null}"#;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let zk = ZkMini::builder().in_memory().start().await?;
    zk.create("/discovery/orders/old", OLD).parents().await?;

    let registry = Registry::builder().embedded(&zk).connect().await?;
    let options = SubscribeOptions::default().codecs(both());
    let mut caller = registry.subscribe_with("orders", options).await?;
    assert_eq!(addresses(&caller.current()), ["10.0.0.1:8080"]);

    let new = Instance::new("10.0.0.2", 8080);
    let options = RegisterOptions::default().id("new").codecs(both());
    let registration = registry.register_with("orders", new, options).await?;
    until(&mut caller, &["10.0.0.1:8080", "10.0.0.2:8080"]).await?;
    println!("a caller in Rust sees the old instance, and the new one once");
    println!("a caller with Curator reads {}", data(&zk)?);

    registration.set_status(Status::Draining).await?;
    until(&mut caller, &["10.0.0.1:8080"]).await?;
    println!("the new one drains; with Curator it is {}", data(&zk)?);

    registration.withdraw().await?;
    registry.close().await?;
    zk.stop().await;
    Ok(())
}

fn both() -> [Arc<dyn Codec>; 2] {
    [Arc::new(Json), Arc::new(Curator::at(BASE))]
}

fn addresses(members: &Members) -> Vec<String> {
    let mut addresses: Vec<_> = members.instances.values().map(|instance| instance.addr()).collect();
    addresses.sort();
    addresses
}

/// Returns the data of the new instance's node, as callers with Curator read it.
fn data(zk: &ZkMini) -> Result<String, Box<dyn Error>> {
    let (data, _) = zk.get("/discovery/orders/new").ok_or("the new instance has no node")?;
    Ok(String::from_utf8(data.to_vec())?)
}

/// Waits until the caller sees these addresses.
async fn until(caller: &mut Subscription, wanted: &[&str]) -> Result<(), Box<dyn Error>> {
    while addresses(&caller.current()) != wanted {
        caller.changed().await.ok_or("the registry is closed")?;
    }
    Ok(())
}
