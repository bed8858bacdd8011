//! Follows a service and prints every change: an instance that comes, has new data, and goes.
//!
//! `cargo run -p zk-registry --features embedded --example watch_service`

use std::error::Error;

use registry::{Change, Instance, Members, Registry, Subscription};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let registry = Registry::embedded().await?;
    let subscription = registry.subscribe("echo").await?;
    let watcher = tokio::spawn(print_changes(subscription));

    let registration = registry.register("echo", Instance::new("127.0.0.1", 8080).with("load", 0)).await?;
    registration.update(Instance::new("127.0.0.1", 8080).with("load", 70)).await?;
    registration.withdraw().await?;
    registry.close().await?;

    // Updates that follow each other quickly may be seen as one, but the last view is never missed.
    let last = watcher.await?;
    assert!(last.is_empty());
    Ok(())
}

/// Prints changes until the registry is closed, and returns the last members.
async fn print_changes(mut subscription: Subscription) -> Members {
    let mut known = Members::default();
    let mut next = Some(subscription.current());
    while let Some(members) = next {
        for change in known.diff(&members) {
            match change {
                Change::Up(_, instance) => println!("+ {}", describe(&instance)),
                Change::Updated(_, instance) => println!("~ {}", describe(&instance)),
                Change::Down(id) => println!("- {id}"),
            }
        }
        if members.stale {
            println!("? no connection: these members may be out of date");
        }
        known = (*members).clone();
        next = subscription.changed().await;
    }
    known
}

fn describe(instance: &Instance) -> String {
    let load = instance.get("load").map_or("unknown".into(), ToString::to_string);
    format!("{} at load {load}", instance.addr())
}
