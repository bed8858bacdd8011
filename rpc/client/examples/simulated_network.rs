//! A service over a simulated network: one of its two hosts is cut off, calls go to the other one, and come back. Half a minute
//! in milliseconds, the same in every run.
//!
//! `cargo run -p rpc-client --example simulated_network`

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rpc_client::{Client, Error, connect_fn};
use rpc_server::{Context, Listener, Server, Service, Status};
use turmoil::net::{TcpListener, TcpStream};

/// A listener of the simulated network.
struct Simulated(TcpListener);

impl Listener for Simulated {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        self.0.accept().await
    }
}

fn main() -> turmoil::Result {
    let limit = Duration::from_secs(120);
    let mut sim = turmoil::Builder::new().rng_seed(7).simulation_duration(limit).build();
    sim.host("red", || serve("red"));
    sim.host("blue", || serve("blue"));
    sim.client("caller", async {
        let via = connect_fn(TcpStream::connect);
        let client = Client::direct("colour", ["red:80", "blue:80"]).via(via).seed(7).connect().await?;
        println!("first: {}", calls(&client).await?);
        turmoil::partition("caller", "red");
        println!("red is cut off: {}", calls(&client).await?);
        turmoil::repair("caller", "red");
        tokio::time::sleep(Duration::from_secs(10)).await;
        println!("red is back: {}", calls(&client).await?);
        Ok(())
    });
    sim.run()
}

async fn serve(name: &'static str) -> turmoil::Result {
    let colour = move |(): (), _: Context| async move { Ok::<_, Status>(name.to_owned()) };
    let service = Service::builder("colour").method("name", colour).build();
    let listener = Simulated(TcpListener::bind("0.0.0.0:80").await?);
    Server::new(service).instance(name).serve_on(listener, std::future::pending()).await?;
    Ok(())
}

/// Makes twenty calls; returns how many each host has answered.
async fn calls(client: &Client) -> Result<String, Error> {
    let mut red = 0;
    for _ in 0..20 {
        let name: String = client.call("name", &()).idempotent().await?;
        red += usize::from(name == "red");
    }
    Ok(format!("red {red}, blue {}", 20 - red))
}
