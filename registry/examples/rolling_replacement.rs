//! Replaces an instance by a newer one without a gap: the new one registers first, the old one leaves the registry while it
//! still serves, and stops only when no caller sees it any more. A caller that follows the service always has an instance to
//! call.
//!
//! `cargo run -p zk-registry --features embedded --example rolling_replacement`

use std::error::Error;
use std::time::Duration;

use registry::{Instance, Members, Registry, Subscription};

/// Time for callers to hear that an instance leaves. In production a second: see the documentation of `drain`.
const GRACE: Duration = Duration::from_millis(100);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let registry = Registry::embedded().await?;
    let mut running = registry.register("shop", version(1)).await?;
    let mut caller = registry.subscribe("shop").await?;
    assert_eq!(versions(&caller.current()), [1]);

    for next in 2..=4 {
        let replacement = registry.register("shop", version(next)).await?;
        wait_for(&mut caller, &[next - 1, next]).await?;

        // It goes on serving meanwhile: calls that were sent before it left are still under way.
        running.drain(GRACE).await?;
        wait_for(&mut caller, &[next]).await?;
        running = replacement;
        println!("version {next} has replaced version {}", next - 1);
    }

    running.withdraw().await?;
    registry.close().await?;
    Ok(())
}

fn version(number: u16) -> Instance {
    Instance::new("127.0.0.1", 8000 + number).with("version", number)
}

fn versions(members: &Members) -> Vec<u64> {
    let numbers = members.instances.values().filter_map(|instance| instance.get("version")?.as_u64());
    let mut numbers: Vec<_> = numbers.collect();
    numbers.sort_unstable();
    numbers
}

/// Waits until a caller sees these versions. At no time does it see none.
async fn wait_for(caller: &mut Subscription, wanted: &[u16]) -> Result<(), Box<dyn Error>> {
    let wanted: Vec<u64> = wanted.iter().map(|&number| number.into()).collect();
    loop {
        let seen = versions(&caller.current());
        assert!(!seen.is_empty(), "a caller has nobody to call");
        if seen == wanted {
            return Ok(());
        }
        caller.changed().await.ok_or("the registry is closed")?;
    }
}
