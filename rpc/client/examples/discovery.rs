//! A service that is found by the registry: the client keeps calling while its instances come and go.
//!
//! The registry is in this process; with `Registry::connect("zk1:2181,zk2:2181")` it is a ZooKeeper.
//!
//! `cargo run -p rpc-client --example discovery`

use std::error::Error;

use registry::{Instance, Registration, Registry};
use rpc_client::Client;
use rpc_server::{Context, Server, Service, Status};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A running instance.
struct Running {
    registration: Registration,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let registry = Registry::embedded().await?;
    let client = Client::builder(registry.clone(), "greeter").connect().await?;

    // Each version is replaced by the next one: first the new instance comes, then the old one goes.
    let mut old: Option<Running> = None;
    for version in ["v1", "v2", "v3"] {
        let new = start(&registry, version).await?;
        if let Some(old) = old.replace(new) {
            stop(old).await?;
        }
        let answer: String = loop {
            let answer: String = client.call("greet", "Ada").await?;
            if answer.ends_with(version) {
                break answer;
            }
        };
        println!("{answer}");
    }
    let stats = client.stats();
    assert!(stats.failed == 0 && stats.by_instance.len() == 3);
    println!("{} calls, none failed, to {} instances", stats.calls, stats.by_instance.len());

    if let Some(last) = old {
        stop(last).await?;
    }
    registry.close().await?;
    Ok(())
}

async fn start(registry: &Registry, version: &'static str) -> Result<Running, Box<dyn Error>> {
    let greet =
        move |name: String, _: Context| async move { Ok::<_, Status>(format!("hello {name}, {version}")) };
    let service = Service::builder("greeter").method("greet", greet).build();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    let (stop, stopped) = oneshot::channel();
    let server = Server::new(service).instance(version);
    let serving = server.serve(listener, async { drop(stopped.await) });
    let task = tokio::spawn(async { drop(serving.await) });
    // The identity lets clients notice another process on the same port.
    let instance = Instance::new(addr.ip().to_string(), addr.port()).with("instance", version);
    let registration = registry.register("greeter", instance).await?;
    Ok(Running { registration, stop, task })
}

/// Withdraws an instance, lets it finish its calls, and ends it.
async fn stop(Running { registration, stop, task }: Running) -> Result<(), Box<dyn Error>> {
    registration.withdraw().await?;
    drop(stop);
    Ok(task.await?)
}
