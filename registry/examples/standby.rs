//! A standby that takes over when the active instance dies. Both register with a rank; the lowest rank leads, so that all who
//! look agree. The active one dies without a goodbye, and time moves by hand, for the server and both instances: nothing waits
//! for the session timeout.
//!
//! `cargo run -p zk-registry --features embedded --example standby`

use std::error::Error;
use std::time::Duration;

use registry::{Instance, Members, Registration, Registry, Subscription};
use tokio::runtime::Runtime;
use zk_mini::ZkMini;

const SERVICE: &str = "scheduler";

fn main() -> Result<(), Box<dyn Error>> {
    let surviving = Runtime::new()?;
    let zk = surviving.block_on(ZkMini::builder().in_memory().manual_clock().start())?;

    // Each runtime stands for a process: when it ends, everything on it ends at once.
    let dying = Runtime::new()?;
    let active = dying.block_on(join(&zk, 1))?;
    let (standby, mut scheduler) = surviving.block_on(async {
        let standby = join(&zk, 2).await?;
        let scheduler = standby.0.subscribe(SERVICE).await?;
        Ok::<_, registry::Error>((standby, scheduler))
    })?;
    assert_eq!(leader(&scheduler.current()), Some(1));
    println!("rank 1 leads");

    drop(dying);
    drop(active);
    surviving.block_on(async {
        // The session of rank 1 expires; rank 2 goes on pinging.
        zk.advance(Duration::from_secs(13)).await;
        lead(&mut scheduler, 2).await?;
        println!("rank 1 has died; rank 2 leads");
        standby.0.close().await?;
        zk.stop().await;
        Ok(())
    })
}

/// Registers an instance of the scheduler from a session of its own.
async fn join(zk: &ZkMini, rank: u16) -> Result<(Registry, Registration), registry::Error> {
    let registry = Registry::builder().embedded(zk).connect().await?;
    let instance = Instance::new("127.0.0.1", 9000 + rank).with("rank", rank);
    let registration = registry.register(SERVICE, instance).await?;
    Ok((registry, registration))
}

/// Waits until this rank leads.
async fn lead(scheduler: &mut Subscription, rank: u64) -> Result<(), Box<dyn Error>> {
    while leader(&scheduler.current()) != Some(rank) {
        scheduler.changed().await.ok_or("the registry is closed")?;
    }
    Ok(())
}

fn leader(members: &Members) -> Option<u64> {
    members.instances.values().filter_map(|instance| instance.get("rank")?.as_u64()).min()
}
