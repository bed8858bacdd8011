//! Ways to instances that announce a port of their own beside one that several share.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use registry::{Instance, Registration, Registry};
use rpc_client::{Client, connect_fn};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};

use crate::servers::{TestServer, eventually};

async fn announce(registry: &Registry, name: &str, shared: SocketAddr, direct: SocketAddr) -> Registration {
    let direct = json!({"host": direct.ip().to_string(), "port": direct.port()});
    let instance = Instance::new(shared.ip().to_string(), shared.port());
    registry.register("test", instance.with("instance", name).with("direct", direct)).await.unwrap()
}

/// Returns an address where nobody listens.
async fn closed() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

async fn who(client: &Client) -> String {
    client.call("who", &()).await.unwrap()
}

#[tokio::test]
async fn more_than_sixteen_workers_of_one_address_are_all_used() {
    let registry = Registry::embedded().await.unwrap();
    let shared = closed().await;
    let names: Vec<&'static str> = (0..20).map(|n| &*n.to_string().leak()).collect();
    let (mut servers, mut registrations) = (Vec::new(), Vec::new());
    for name in &names {
        let server = TestServer::start(name).await;
        registrations.push(announce(&registry, name, shared, server.addr).await);
        servers.push(server);
    }
    let client = Client::builder(registry, "test").connect().await.unwrap();
    eventually(async || {
        who(&client).await;
        client.stats().by_instance.values().filter(|one| one.ok > 0).count() == names.len()
    })
    .await;
}

#[tokio::test]
async fn a_subset_of_the_workers_is_used_by_choice() {
    let registry = Registry::embedded().await.unwrap();
    let shared = closed().await;
    let (mut servers, mut registrations) = (Vec::new(), Vec::new());
    for name in ["a", "b", "c", "d", "e"] {
        let server = TestServer::start(name).await;
        registrations.push(announce(&registry, name, shared, server.addr).await);
        servers.push(server);
    }
    let client = Client::builder(registry, "test").aperture(2).client_number(0).connect().await.unwrap();
    eventually(async || {
        who(&client).await;
        client.stats().by_instance.len() == 2
    })
    .await;
    for _ in 0..50 {
        who(&client).await;
    }
    assert_eq!(client.stats().by_instance.len(), 2);
}

#[tokio::test]
async fn a_refused_direct_port_gives_way_to_the_shared_one() {
    let registry = Registry::embedded().await.unwrap();
    let server = TestServer::start("a").await;
    let _registration = announce(&registry, "a", server.addr, closed().await).await;
    let client = Client::builder(registry, "test").connect().await.unwrap();
    assert_eq!(who(&client).await, "a");
}

#[tokio::test]
async fn a_direct_port_that_swallows_packets_gives_way_to_the_shared_one() {
    let registry = Registry::embedded().await.unwrap();
    let server = TestServer::start("a").await;
    let swallowed = closed().await;
    let _registration = announce(&registry, "a", server.addr, swallowed).await;
    let attempts = Arc::new(AtomicUsize::new(0));
    let counted = attempts.clone();
    let via = connect_fn(move |addr| {
        let swallows = addr == swallowed.to_string();
        counted.fetch_add(usize::from(swallows), Ordering::Relaxed);
        async move {
            if swallows { pending::<io::Result<TcpStream>>().await } else { TcpStream::connect(addr).await }
        }
    });
    let client = Client::builder(registry, "test").via(via).connect().await.unwrap();
    assert_eq!(who(&client).await, "a");
    assert_eq!(attempts.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn the_direct_port_is_preferred_and_the_shared_one_is_left_alone() {
    let registry = Registry::embedded().await.unwrap();
    let (shared, server) = (TestServer::start("shared").await, TestServer::start("a").await);
    let _registration = announce(&registry, "a", shared.addr, server.addr).await;
    let client = Client::builder(registry, "test").connect().await.unwrap();
    for _ in 0..20 {
        assert_eq!(who(&client).await, "a");
    }
    assert_eq!(client.stats().by_instance.len(), 1);
}
