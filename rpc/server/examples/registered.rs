//! A service that announces itself: a second instance joins, a client finds it, and the first one leaves without a failed call.
//! It leaves the registry first, serves until its clients have moved on, then drains.
//!
//! The registry is in this process; with `Registry::connect("zk1:2181,zk2:2181")` it is a ZooKeeper. `Prefork` does all
//! this for services of several processes.
//!
//! ```sh
//! cargo run -p rpc-server --example registered
//! ```

use std::error::Error;
use std::io;

use registry::Registry;
use rpc_client::Client;
use rpc_server::{Context, Drained, Server, Service, Status};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A running instance of the service. In a program of its own `stop` would be a signal: `tokio::signal::ctrl_c()`.
struct Running {
    stop: oneshot::Sender<()>,
    serving: JoinHandle<io::Result<Drained>>,
}

async fn start(registry: &Registry, color: &'static str) -> io::Result<Running> {
    let paint = move |what: String, _: Context| async move { Ok::<_, Status>(format!("{color} {what}")) };
    let server = Server::new(Service::builder("painter").method("paint", paint).build()).announce(registry);
    let (stop, stopped) = oneshot::channel();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let serving = tokio::spawn(server.serve(listener, async { drop(stopped.await) }));
    Ok(Running { stop, serving })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let registry = Registry::embedded().await?;
    let red = start(&registry, "red").await?;
    let client = Client::builder(registry.clone(), "painter").connect().await?;
    println!("{}", client.call::<_, String>("paint", "house").await?);

    let blue = start(&registry, "blue").await?;
    while client.call::<_, String>("paint", "house").await? != "blue house" {}
    println!("the client has found the second instance");

    drop(red.stop);
    let drained = red.serving.await??;
    println!("the first one has left; connections cut: {}", drained.cut);
    for _ in 0..100 {
        assert_eq!(client.call::<_, String>("paint", "car").await?, "blue car");
    }
    let stats = client.stats();
    println!("{} calls, {} failed", stats.calls, stats.failed);
    assert_eq!((drained.cut, stats.failed), (0, 0));

    drop(blue.stop);
    blue.serving.await??;
    registry.close().await?;
    Ok(())
}
