//! Balancing: four instances, of which one is half as strong as the others and one fails every call. The client follows the
//! weights, ejects the one that fails, and shows what it knows.
//!
//! `cargo run -p rpc-client --example balancing`

use std::error::Error;
use std::future::pending;
use std::time::Duration;

use registry::{Instance, Registration, Registry};
use rpc_client::{Client, InstanceState, OutlierEjection};
use rpc_server::{Context, INSTANCE_FIELD, Server, Service, Status};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let registry = Registry::embedded().await?;
    let mut registrations = Vec::new();
    for (name, weight) in [("strong", 100), ("also strong", 100), ("weak", 50), ("broken", 100)] {
        registrations.push(start(&registry, name, weight).await?);
    }

    // Each of these has a default.
    let rules = OutlierEjection::default().consecutive_failures(3).max_ejected_percent(25);
    let client = Client::builder(registry.clone(), "work").outlier_ejection(rules).connect().await?;
    while client.instances().iter().filter(|info| info.state == InstanceState::Ready).count() < 4 {
        let _ = client.call::<_, ()>("work", &()).await;
    }

    let mut callers = JoinSet::new();
    for _ in 0..16 {
        let client = client.clone();
        callers.spawn(async move {
            for _ in 0..100 {
                let _ = client.call::<_, ()>("work", &()).await;
            }
        });
    }
    callers.join_all().await;

    let mut instances = client.instances();
    instances.sort_by_key(|info| std::cmp::Reverse(info.sent));
    for info in &instances {
        let name = info.instance.as_deref().unwrap_or("?");
        println!(
            "{name:12} weight {:3}: {:4} calls, {:2} failed; {:?}",
            info.weight, info.sent, info.failed, info.state
        );
    }
    let (calls, broken) = (client.stats().calls, client.stats().by_instance["broken"].sent);
    assert!(broken * 50 < calls, "{broken} of {calls} calls went to the instance that fails");

    for registration in registrations {
        registration.withdraw().await?;
    }
    registry.close().await?;
    Ok(())
}

/// Starts an instance and registers it.
async fn start(registry: &Registry, name: &'static str, weight: u32) -> Result<Registration, Box<dyn Error>> {
    let work = move |(): (), _: Context| async move {
        if name == "broken" {
            return Err(Status::internal("the disk is full"));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        Ok(())
    };
    let service = Service::builder("work").method("work", work).build();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    tokio::spawn(Server::new(service).instance(name).serve(listener, pending()));
    let instance =
        Instance::new(addr.ip().to_string(), addr.port()).with(INSTANCE_FIELD, name).with_weight(weight);
    Ok(registry.register("work", instance).await?)
}
