//! A test of a server that hangs: connections stay open, and nothing is answered, for longer than a session may be silent.
//!
//! The bugs that it finds: a caller that waits for ever, or that takes silence for "no instances" and stops calling services
//! that work; a service that gives its registration up, though its session is still alive when the server comes to.
//!
//! `cargo run -p zk-registry --features embedded --example frozen_server`

use std::error::Error;
use std::time::Duration;

use registry::{ConnectionState, Instance, Registry};
use zk_mini::ZkMini;

// Time is tokio's, which is paused: a minute passes in no time.
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Box<dyn Error>> {
    let zk = ZkMini::builder().in_memory().auto_advance().start().await?;
    let service = Registry::builder().embedded(&zk).connect().await?;
    let registration = service.register("demo", Instance::new("127.0.0.1", 8080)).await?;
    let caller = Registry::builder().embedded(&zk).connect().await?;
    let mut demo = caller.subscribe("demo").await?;
    let (node, sessions) = (registration.path(), zk.all_sessions());

    zk.freeze();
    let frozen = tokio::time::Instant::now();
    let mut connection = caller.connection();
    while connection.current() != ConnectionState::Disconnected {
        connection.changed().await.ok_or("the registry is open")?;
    }
    println!("the caller noticed after {} s", frozen.elapsed().as_secs());
    while !demo.current().stale {
        demo.changed().await.ok_or("the registry is open")?;
    }
    assert_eq!(demo.current().len(), 1, "it keeps what it knows");
    tokio::time::sleep(Duration::from_secs(60)).await;

    // The server goes on where it stood: nobody has expired.
    zk.thaw().await;
    while demo.current().stale {
        demo.changed().await.ok_or("the registry is open")?;
    }
    assert_eq!(demo.current().len(), 1);
    assert_eq!(zk.all_sessions().ids(), sessions.ids(), "the sessions are the same");
    assert!(node.is_some() && registration.path() == node, "and so is the node");
    println!("a minute later everything is as before");
    Ok(())
}
