//! An RPC service of two processes on one port, each of which announces itself in ZooKeeper.

use std::process::id;

use rpc_server::{Context, Prefork, PreforkOptions, Service, Status};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let servers = std::env::args().nth(1).ok_or("usage: service HOST:PORT")?;
    // Runs in each worker, after the fork. The parent has no runtime and no thread.
    let service = |_slot| {
        Service::builder("demo")
            .method("ping", |text: String, _: Context| async move { Ok::<_, Status>(text) })
            .method("pid", |(): (), _: Context| async { Ok::<_, Status>(id()) })
            .build()
    };
    Prefork::new(service)
        .options(PreforkOptions::default().workers(2))
        .zookeeper(servers)
        .on_ready(|address| println!("ready {address}"))
        .run()?;
    println!("stopped");
    Ok(())
}
