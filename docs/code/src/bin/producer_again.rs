//! Registers a service, and registers it again when its session has expired.

use std::env::args;

use registry::{Instance, Registry};
use tokio::signal::ctrl_c;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let usage = "usage: producer_again HOST:PORT HOST:PORT";
    let servers = args().nth(1).ok_or(usage)?;
    let address = args().nth(2).ok_or(usage)?;
    let (host, port) = address.rsplit_once(':').ok_or(usage)?;

    let registry = Registry::connect(&servers).await?;
    let mut registration = registry.register("demo", Instance::new(host, port.parse()?)).await?;
    println!("announced");
    let mut path = registration.path();
    loop {
        tokio::select! {
            changed = registration.changed() => {
                if changed.is_none() {
                    return Err("the registration has ended".into());
                }
                // Another name: another node, of another session.
                let now = registration.path();
                if now.is_some() && now != path {
                    println!("announced again");
                    path = now;
                }
            }
            stopped = ctrl_c() => {
                stopped?;
                break;
            }
        }
    }
    registration.withdraw().await?;
    registry.close().await?;
    println!("stopped");
    Ok(())
}
