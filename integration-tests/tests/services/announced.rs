//! Servers that announce themselves, in good and bad days of the registry.

use std::time::Duration;

use integration_tests::scenarios::members;
use integration_tests::wait::{PATIENCE, eventually};
use registry::{Instance, Registry, Status as InstanceStatus, Subscription};
use rpc_client::Client;
use rpc_server::{Announcement, Context, Drained, Server, Service, Status};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use zk_mini::{On, Then, ZkMini};

/// A server that announces itself as `echo`.
struct Announced {
    addr: String,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<std::io::Result<Drained>>,
}

impl Announced {
    async fn start(announcement: impl Into<Announcement>) -> Self {
        let echo = |text: String, _: Context| async move { Ok::<_, Status>(text) };
        let server =
            Server::new(Service::builder("echo").method("echo", echo).build()).announce(announcement);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("it works on this machine");
        let addr = listener.local_addr().expect("it works on this machine").to_string();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(server.serve(listener, async { drop(stopped.await) }));
        Self { addr, stop, serving }
    }

    /// Calls it at its address, which needs no registry.
    async fn answers(&self) {
        let client = Client::direct("echo", [&self.addr]).connect().await.expect("it works on this machine");
        assert_eq!(
            client.call::<_, String>("echo", "hello").await.expect("it works on this machine"),
            "hello"
        );
    }

    async fn end(self) -> Drained {
        drop(self.stop);
        timeout(PATIENCE, self.serving)
            .await
            .expect("it works on this machine")
            .expect("it works on this machine")
            .expect("it works on this machine")
    }
}

async fn sees(subscription: &mut Subscription, addr: &str) {
    let announced = |one: &registry::Members| one.instances.values().any(|instance| instance.addr() == addr);
    members("the server is announced", subscription, announced).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_announces_itself_and_leaves_before_it_drains() {
    let zk = ZkMini::start().await.unwrap();
    let registry = Registry::connect(&zk.connect_string()).await.unwrap();
    let entry = Announcement::new(&registry).fields(|instance: Instance| instance.with_weight(7));
    let server = Announced::start(entry).await;
    let mut seen = registry.subscribe("echo").await.unwrap();
    sees(&mut seen, &server.addr).await;
    assert!(seen.current().instances.values().all(|one| one.weight() == 7 && one.get("instance").is_some()));

    let client = Client::builder(registry.clone(), "echo").connect().await.unwrap();
    let mut drained = tokio::spawn(server.end());
    // Until the registry has told the client, calls are answered; afterwards there is nobody to call.
    let last = loop {
        let call = client.call::<_, String>("echo", "hello");
        if let Err(error) = call.deadline(Duration::from_millis(500)).await {
            break error;
        }
    };
    assert!(!last.may_have_been_applied(), "{last}");
    let drained = timeout(PATIENCE, &mut drained).await.unwrap().unwrap();
    assert_eq!(drained.cut, 0);
    assert!(seen.current().is_empty());
    assert!(zk.children("/echo").unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_starts_without_the_registry_and_is_announced_when_that_comes() {
    let zk = ZkMini::start().await.unwrap();
    let (addr, servers) = (zk.addr().unwrap(), zk.connect_string());
    zk.stop().await;
    let registry = Registry::builder().servers(&servers).connect_in_background().await.unwrap();
    let server = Announced::start(&registry).await;
    server.answers().await;

    let zk = ZkMini::builder().listen(addr).start().await.unwrap();
    let mut seen = Registry::connect(&servers).await.unwrap().subscribe("echo").await.unwrap();
    sees(&mut seen, &server.addr).await;
    assert_eq!(server.end().await.cut, 0);
    assert!(zk.children("/echo").unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_outlives_the_registry_and_is_announced_again() {
    let mut zk = ZkMini::start().await.unwrap();
    let (addr, servers) = (zk.addr().unwrap(), zk.connect_string());
    let registry = Registry::connect(&servers).await.unwrap();
    let server = Announced::start(&registry).await;
    eventually("announced", PATIENCE, || zk.children("/echo").is_some_and(|nodes| nodes.len() == 1));
    for _ in 0..2 {
        zk.stop().await;
        server.answers().await;
        // Another server, without the data of the one before: the session is unknown to it.
        zk = ZkMini::builder().listen(addr).start().await.unwrap();
        eventually("announced again", PATIENCE, || {
            zk.children("/echo").is_some_and(|nodes| nodes.len() == 1)
        });
    }
    server.end().await;
    assert!(zk.children("/echo").unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_session_expires_or_whose_entry_is_deleted_is_announced_again() {
    let zk = ZkMini::start().await.unwrap();
    let registry = Registry::connect(&zk.connect_string()).await.unwrap();
    let server = Announced::start(&registry).await;
    let node = || zk.children("/echo").and_then(|nodes| nodes.first().map(|name| format!("/echo/{name}")));
    eventually("announced", PATIENCE, || node().is_some());
    let first = node().unwrap();
    zk.session_of(&first).unwrap().expire().await;
    eventually("announced again", PATIENCE, || node().is_some_and(|now| now != first));
    let second = node().unwrap();
    zk.delete(&second).await.unwrap();
    eventually("announced again", PATIENCE, || node().is_some_and(|now| now != second));
    server.end().await;
    assert_eq!(node(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_the_registry_refuses_serves_and_tries_again() {
    let zk = ZkMini::start().await.unwrap();
    let refusal = zk.fault(On::create("/echo/**").nth(1), Then::fail(zk_wire::ErrorCode::NO_AUTH));
    let registry = Registry::connect(&zk.connect_string()).await.unwrap();
    let server = Announced::start(&registry).await;
    server.answers().await;
    eventually("announced", PATIENCE, || zk.children("/echo").is_some_and(|nodes| nodes.len() == 1));
    assert_eq!(refusal.fired(), 1);
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_ends_although_the_registry_is_away() {
    let zk = ZkMini::start().await.unwrap();
    let registry = Registry::connect(&zk.connect_string()).await.unwrap();
    let server = Announced::start(&registry).await;
    eventually("announced", PATIENCE, || zk.children("/echo").is_some_and(|nodes| nodes.len() == 1));
    zk.stop().await;
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draining_server_is_marked_before_it_goes() {
    let zk = ZkMini::start().await.unwrap();
    let registry = Registry::connect(&zk.connect_string()).await.unwrap();
    let server = Announced::start(&registry).await;
    let everything = registry::Filter::default().statuses([InstanceStatus::Up, InstanceStatus::Draining]);
    let everything = registry::SubscribeOptions::default().filter(everything);
    let mut seen = registry.subscribe_with("echo", everything).await.unwrap();
    sees(&mut seen, &server.addr).await;
    // Holds the deletion back, so that the mark can be seen.
    let held = zk.fault(On::delete("/echo/**").nth(1), Then::delay(Duration::from_millis(300)));
    let ending = tokio::spawn(server.end());
    let draining =
        |one: &registry::Members| one.instances.values().any(|one| one.status() == InstanceStatus::Draining);
    members("the server drains", &mut seen, draining).await;
    members("the server is gone", &mut seen, registry::Members::is_empty).await;
    assert_eq!(held.fired(), 1);
    ending.await.unwrap();
}
