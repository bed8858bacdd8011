//! The registry and RPC on a real ensemble: the scenarios that run on zk-mini, and deaths of servers.

use std::time::Duration;

use integration_tests::ensemble::RealZooKeeper;
use integration_tests::scenarios::rpc::{RegisteredServer, call};
use integration_tests::scenarios::{self, members};
use integration_tests::wait::{PATIENCE, eventually};
use registry::{ConnectionState, Instance, Registry};
use zk_client::Client;

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_see_changes_and_calls_follow_the_servers() {
    let zk = RealZooKeeper::ensemble().unwrap();
    let servers = zk.connect_string();
    let connect = async || Registry::connect(&servers).await.unwrap();
    scenarios::registry::a_subscriber_sees_every_change_of_an_instance(connect).await;
    scenarios::rpc::calls_follow_the_servers(connect).await;
    let client = Client::connect(&servers).await.unwrap();
    scenarios::registry::foreign_nodes_are_skipped_and_reported(client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_nodes_survive_the_death_of_a_server() {
    let mut zk = RealZooKeeper::ensemble().unwrap();
    let servers = zk.connect_string();
    let owner = Client::connect(&servers).await.unwrap();
    let (provider, watcher) = (Registry::new(owner.clone()), Registry::connect(&servers).await.unwrap());
    let instance = Instance::new("127.0.0.1", 8001);
    let registration = provider.register("demo", instance.clone()).await.unwrap();
    let mut seen = watcher.subscribe("demo").await.unwrap();
    let before = members("the instance", &mut seen, |now| now.len() == 1).await;
    let (session, path) = (owner.credentials().unwrap().id, registration.path().unwrap());
    let node = owner.exists(&path).await.unwrap().unwrap();

    // Twice, so that the leader and the server of our session die once each.
    for _ in 0..2 {
        let server = zk.serving(session.0).unwrap();
        zk.kill(server);
        eventually("another server serves the session", PATIENCE, || {
            zk.serving(session.0).is_some_and(|now| now != server)
        });
        let other = Client::connect(&servers).await.unwrap();
        assert_eq!(other.exists(&path).await.unwrap(), Some(node));
        assert_eq!(registration.path().as_deref(), Some(path.as_str()));
        let now = members("a fresh view", &mut seen, |now| !now.stale).await;
        assert_eq!(now.instances, before.instances);
        other.close().await.unwrap();
        zk.restart(server).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_go_on_without_a_registry_and_follow_its_changes_afterwards() {
    let mut zk = RealZooKeeper::ensemble().unwrap();
    let servers = zk.connect_string();
    let connect = async || {
        let builder = Registry::builder().servers(&servers).session_timeout(Duration::from_secs(30));
        builder.connect().await.unwrap()
    };
    let (provider, consumer) = (connect().await, connect().await);
    let first = RegisteredServer::start(&provider, "demo").await;
    let client = rpc_client::Client::builder(consumer.clone(), "demo").connect().await.unwrap();
    call(&client, 5).await;

    // Two of three are gone: no majority and no service, but the known members stay.
    zk.kill(0);
    zk.kill(1);
    let mut connection = consumer.connection();
    let lost = async {
        while connection.current() != ConnectionState::Disconnected {
            connection.changed().await;
        }
    };
    tokio::time::timeout(PATIENCE, lost).await.expect("the loss is seen");
    assert_eq!(call(&client, 50).await.len(), 1);
    zk.restart(0).unwrap();

    let second = RegisteredServer::start(&provider, "demo").await;
    while call(&client, 20).await.len() < 2 {}
    first.leave().await;
    second.leave().await;
    assert_eq!(client.stats().failed, 0, "{:?}", client.stats());
}
