//! A test of a session that expires: the server ends it now, as if its time had run out.
//!
//! The bug that it finds: a service that registers at its start only. After an expiry it runs on, healthy and invisible. A test
//! that closes the session does not find it, because then the client knows.
//!
//! `cargo run -p zk-registry --features embedded --example expiry_on_demand`

use std::error::Error;
use std::time::Duration;

use registry::{Instance, Registry};
use zk_mini::ZkMini;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let zk = ZkMini::start().await?;
    let service = Registry::connect(&zk.connect_string()).await?;
    let registration = service.register("demo", Instance::new("127.0.0.1", 8080).with("load", 0)).await?;
    registration.update(Instance::new("127.0.0.1", 8080).with("load", 7)).await?;
    let caller = Registry::connect(&zk.connect_string()).await?;
    let mut demo = caller.subscribe("demo").await?;

    // Its session ends on the server. The service learns of it when it comes back.
    let node = registration.path().ok_or("it is registered")?;
    let session = zk.session_of(&node).ok_or("the node has an owner")?;
    session.expire().await;
    assert!(zk.get(&node).is_none() && zk.session(session.id()).is_none());

    // It registers again, in a new session, with its newest data, and once.
    let is_back = |zk: &zk_mini::Handle| zk.children("/demo").is_some_and(|nodes| !nodes.is_empty());
    zk.wait_for(is_back, Duration::from_secs(10)).await?;
    let nodes = zk.children("/demo").ok_or("the service stays")?;
    let [name] = &nodes[..] else { return Err(format!("several nodes: {nodes:?}").into()) };
    assert!(!node.ends_with(name), "it is another node");

    // The caller finds it.
    let mut members = demo.current();
    while members.instances.keys().all(|id| id.as_str() != name) {
        members = demo.changed().await.ok_or("the registry is open")?;
    }
    let found = members.instances.values().next().ok_or("there is an instance")?;
    assert_eq!((members.len(), found.get("load")), (1, Some(&7.into())));
    println!("{node} has expired; {name} took its place");
    Ok(())
}
