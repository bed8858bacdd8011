//! Servers that announce themselves and a client that finds them.

use std::collections::BTreeSet;

use registry::{Instance, Members, Registration, Registry};
use rpc_client::Client;
use rpc_server::{Context, Drained, Server, Service, Status};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use super::members;

/// A server in this process, registered.
pub struct RegisteredServer {
    registration: Registration,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<std::io::Result<Drained>>,
}

impl RegisteredServer {
    /// Serves `echo` on a free port. It answers with its port and the argument.
    ///
    /// # Panics
    /// If it cannot listen or register.
    pub async fn start(registry: &Registry, service: &str) -> Self {
        Self::start_with(registry, service, |server| server).await
    }

    /// Serves `echo` with further settings.
    ///
    /// # Panics
    /// If it cannot listen or register.
    pub async fn start_with(
        registry: &Registry,
        service: &str,
        configure: impl FnOnce(Server) -> Server,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let echo = move |text: String, _: Context| async move { Ok::<_, Status>((port, text)) };
        let server = configure(Server::new(Service::builder(service).method("echo", echo).build()));
        let instance = Instance::new("127.0.0.1", port).with("instance", server.identity());
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(server.serve(listener, async { drop(stopped.await) }));
        let registration = registry.register(service, instance).await.expect("registered");
        Self { registration, stop, serving }
    }

    /// Withdraws, lets running calls finish, and ends.
    ///
    /// # Panics
    /// If a call is cut.
    pub async fn leave(self) {
        self.registration.withdraw().await.expect("withdrawn");
        drop(self.stop);
        assert_eq!(self.serving.await.expect("the server ends").expect("it could listen").cut, 0);
    }
}

/// Makes `count` calls at once, which must all succeed. Returns the ports of the servers that answered.
///
/// # Panics
/// If a call fails or has a wrong answer.
pub async fn call(client: &Client, count: usize) -> BTreeSet<u16> {
    let mut calls = JoinSet::new();
    for n in 0..count {
        let client = client.clone();
        calls.spawn(async move {
            let text = format!("call {n}");
            let (port, same): (u16, String) =
                client.call("echo", &text).idempotent().await.expect("answered");
            assert_eq!(same, text);
            port
        });
    }
    calls.join_all().await.into_iter().collect()
}

/// Starts and stops servers under a client that keeps calling. No call fails.
///
/// # Panics
/// If a call fails.
pub async fn calls_follow_the_servers(connect: impl AsyncFn() -> Registry) {
    let (provider, consumer) = (connect().await, connect().await);
    let service = "scenario/echo";
    let mut seen = consumer.subscribe(service).await.expect("subscribed");
    let first = RegisteredServer::start(&provider, service).await;
    let client = Client::builder(consumer.clone(), service).connect().await.expect("connected");
    assert_eq!(call(&client, 20).await.len(), 1);

    let second = RegisteredServer::start(&provider, service).await;
    members("both", &mut seen, |now| now.len() == 2).await;
    while call(&client, 20).await.len() < 2 {}

    first.leave().await;
    members("one is left", &mut seen, |now| now.len() == 1).await;
    while call(&client, 20).await.len() > 1 {}

    second.leave().await;
    members("no server is left", &mut seen, Members::is_empty).await;
    assert_eq!(client.stats().failed, 0, "{:?}", client.stats());
    provider.close().await.expect("closed");
    consumer.close().await.expect("closed");
}
