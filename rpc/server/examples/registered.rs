//! A service that registers itself and leaves without a failed call: it is registered before it is called, withdrawn before
//! it drains, and the client moves to the other instance.
//!
//! The registry is in this process; with `Registry::connect("zk1:2181,zk2:2181")` it is a ZooKeeper. `Prefork` does all
//! this for services of several processes.
//!
//! ```sh
//! cargo run -p rpc-server --example registered
//! ```

use std::error::Error;
use std::time::Duration;

use registry::{Instance, Registration, Registry};
use rpc_client::Client;
use rpc_server::{Context, INSTANCE_FIELD, OpenConnections, Server, Service, Status};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// A running instance of the service.
struct Running {
    registration: Registration,
    open: OpenConnections,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<usize, std::io::Error>>,
}

impl Running {
    async fn start(registry: &Registry, color: &'static str) -> Result<Self, Box<dyn Error>> {
        let paint = move |what: String, _: Context| async move { Ok::<_, Status>(format!("{color} {what}")) };
        let server = Server::new(Service::builder("painter").method("paint", paint).build());
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        // The identity tells clients that they have reached the process that is registered.
        let instance =
            Instance::new(addr.ip().to_string(), addr.port()).with(INSTANCE_FIELD, server.identity());
        let open = server.open_connections();
        let (stop, stopped) = oneshot::channel();
        let serving = async { Ok(server.serve(listener, async { drop(stopped.await) }).await?.cut) };
        let serving = tokio::spawn(serving);
        let registration = registry.register("painter", instance).await?;
        Ok(Self { registration, open, stop, serving })
    }

    /// Leaves: first from the registry, then from the clients, which close their connections.
    async fn leave(mut self) -> Result<usize, Box<dyn Error>> {
        self.registration.withdraw().await?;
        // A client that is slow to hear of it is told by the drain.
        let _ = timeout(Duration::from_secs(1), self.open.all_closed()).await;
        drop(self.stop);
        Ok(self.serving.await??)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let registry = Registry::embedded().await?;
    let red = Running::start(&registry, "red").await?;
    let client = Client::builder(registry.clone(), "painter").connect().await?;
    println!("{}", client.call::<_, String>("paint", "house").await?);

    let blue = Running::start(&registry, "blue").await?;
    while client.call::<_, String>("paint", "house").await? != "blue house" {}
    println!("the client has found the second instance");

    let cut = red.leave().await?;
    println!("the first one has left; connections cut: {cut}");
    for _ in 0..100 {
        assert_eq!(client.call::<_, String>("paint", "car").await?, "blue car");
    }
    let stats = client.stats();
    println!("{} calls, {} failed", stats.calls, stats.failed);
    assert_eq!((cut, stats.failed), (0, 0));

    blue.leave().await?;
    registry.close().await?;
    Ok(())
}
