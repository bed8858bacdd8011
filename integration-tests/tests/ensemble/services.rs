//! The registry and RPC on a real ensemble: the scenarios that run on zk-mini, and deaths of servers.

use std::sync::Arc;
use std::time::Duration;

use integration_tests::ensemble::RealZooKeeper;
use integration_tests::four_letter;
use integration_tests::scenarios::rpc::{RegisteredServer, call};
use integration_tests::scenarios::{self, members};
use integration_tests::wait::{PATIENCE, eventually};
use registry::codec::{Codec, Curator, Json, ServerSet};
use registry::{
    ConnectionState, Filter, Instance, Members, RegisterOptions, Registry, ServiceNames, SubscribeOptions,
    unix_ms,
};
use zk_client::Client;

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_see_changes_and_calls_follow_the_servers() {
    let zk = RealZooKeeper::ensemble().unwrap();
    let servers = zk.connect_string();
    let connect = async || Registry::connect(&servers).await.unwrap();
    scenarios::registry::a_subscriber_sees_every_change_of_an_instance(connect).await;
    scenarios::registry::a_newer_instance_takes_the_place_of_an_older_one(connect).await;
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

/// Returns the number of requests that a session has sent over its present connection.
fn received(zk: &RealZooKeeper, session: i64) -> usize {
    let server = zk.serving(session).expect("a server has its connection");
    let connections = four_letter::ask(zk.addr(server), "cons").expect("an answer");
    let sid = format!("sid=0x{session:x},");
    let line = connections.lines().find(|line| line.contains(&sid)).expect("its line");
    let count = line.split("recved=").nth(1).and_then(|rest| rest.split(',').next());
    count.and_then(|count| count.parse().ok()).expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn all_subscriptions_of_a_process_share_their_requests() {
    let zk = RealZooKeeper::standalone().unwrap();
    let servers = zk.connect_string();
    // Pings are far apart.
    let client =
        Client::builder().servers(&servers).session_timeout(Duration::from_secs(60)).connect().await.unwrap();
    let (watcher, provider) = (Registry::new(client.clone()), Registry::connect(&servers).await.unwrap());
    let session = client.credentials().unwrap().id.0;
    let mut subscriptions = Vec::new();
    for zone in 0..50 {
        let options = SubscribeOptions::default().filter(Filter::default().zone("a").zone(zone.to_string()));
        subscriptions.push(watcher.subscribe_with("demo", options).await.unwrap());
    }
    let instance = Instance::new("127.0.0.1", 8001).with_zone("a");
    let registration = provider.register("demo", instance.clone()).await.unwrap();
    for subscription in &mut subscriptions {
        members("it comes", subscription, |now| now.len() == 1).await;
    }
    let before = received(&zk, session);
    let _second = provider.register("demo", Instance::new("127.0.0.1", 8002).with_zone("a")).await.unwrap();
    registration.update(instance.with("load", 1)).await.unwrap();
    let is_updated =
        |now: &Members| now.len() == 2 && now.instances.values().any(|one| one.get("load").is_some());
    for subscription in &mut subscriptions {
        members("another comes, and one changes", subscription, is_updated).await;
    }
    let requests = received(&zk, session) - before;
    assert!((3..=4).contains(&requests), "a list, two reads, and a ping at most: {requests}");
}

#[tokio::test(flavor = "multi_thread")]
async fn services_come_in_several_formats_and_an_instance_in_all_is_one_member() {
    let zk = RealZooKeeper::ensemble().unwrap();
    let servers = zk.connect_string();
    let connect = async || Registry::builder().servers(&servers).root("fleet").connect().await.unwrap();
    let (watcher, provider) = (connect().await, connect().await);
    let codecs = || -> [Arc<dyn Codec>; 3] {
        [Arc::new(Json), Arc::new(Curator::at("/curator")), Arc::new(ServerSet::at("/sets"))]
    };
    let mut services = watcher.services().await.unwrap();
    assert_eq!(*services.current(), ServiceNames::default(), "no root yet");
    let options = SubscribeOptions::default().codecs(codecs());
    let mut seen = watcher.subscribe_with("shop", options).await.unwrap();

    let options = RegisterOptions::default().codecs(codecs());
    let instance = Instance::new("127.0.0.1", 8001);
    let registration = provider.register_with("shop", instance, options).await.unwrap();
    let client = Client::connect(&servers).await.unwrap();
    for path in ["/fleet/shop", "/curator/shop", "/sets/shop"] {
        assert_eq!(client.children(path).await.unwrap().0.len(), 1, "{path}");
    }
    let shop = async {
        while !services.current().names.contains("shop") {
            services.changed().await.expect("the registry is open");
        }
    };
    tokio::time::timeout(PATIENCE, shop).await.expect("the service is listed");
    let found = members("one member", &mut seen, |now| now.len() == 1 && now.skipped.is_empty()).await;
    assert_eq!(found.instances.values().next().unwrap().port(), 8001);
    registration.withdraw().await.unwrap();
    members("it goes in all formats", &mut seen, Members::is_empty).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_that_a_real_ensemble_loses_at_once_are_held_for_the_bound() {
    let zk = RealZooKeeper::ensemble().unwrap();
    let servers = zk.connect_string();
    let watcher = Registry::connect(&servers).await.unwrap();
    let bound = Duration::from_secs(3);
    let options = SubscribeOptions::default().empty_after(bound);
    let mut careful = watcher.subscribe_with("demo", options).await.unwrap();
    let mut exact = watcher.subscribe("demo").await.unwrap();
    let mut providers = Vec::new();
    for port in 8001..=8005 {
        let provider = Registry::connect(&servers).await.unwrap();
        let registration = provider.register("demo", Instance::new("127.0.0.1", port)).await.unwrap();
        providers.push((provider, registration));
    }
    members("all", &mut careful, |now| now.len() == 5).await;
    for (provider, _) in &providers {
        provider.close().await.unwrap();
    }
    members("none", &mut exact, Members::is_empty).await;
    // Their sessions ended one after another, within seconds.
    let held = members("the lost ones", &mut careful, |now| now.stale).await;
    let since = tokio::time::Instant::now();
    assert_eq!(held.len(), 5);
    let empty = members("nobody", &mut careful, Members::is_empty).await;
    assert!(!empty.stale && since.elapsed() > bound / 2, "{:?}", since.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_starts_while_the_registry_is_away_has_the_last_members_until_it_is_back() {
    let mut zk = RealZooKeeper::standalone().unwrap();
    let servers = zk.connect_string();
    let cache = tempfile::tempdir().unwrap();
    let builder = || Registry::builder().servers(&servers).cache(cache.path());
    let provider = Registry::connect(&servers).await.unwrap();
    let registration = provider.register("demo", Instance::new("127.0.0.1", 8001)).await.unwrap();
    let before = builder().connect().await.unwrap();
    let seen = before.subscribe("demo").await.unwrap();
    eventually("the members are on disk", PATIENCE, || {
        let files = std::fs::read_dir(cache.path()).unwrap();
        files
            .map(|file| file.unwrap().path())
            .any(|path| path.extension().is_some_and(|end| end == "members"))
    });
    drop(seen);
    before.close().await.unwrap();

    zk.kill(0);
    let after = builder().connect_in_background().await.unwrap();
    let mut seen =
        tokio::time::timeout(PATIENCE, after.subscribe("demo")).await.expect("from the disk").unwrap();
    let cached = seen.current();
    assert_eq!(cached.instances.values().next().map(|one| one.port()), Some(8001));
    assert!(cached.stale && cached.age(unix_ms()).is_some_and(|age| age < 2 * PATIENCE), "{cached:?}");
    zk.restart(0).unwrap();
    members("fresh ones", &mut seen, |now| now.len() == 1 && !now.stale && now.cached.is_none()).await;
    registration.withdraw().await.unwrap();
    members("nobody", &mut seen, |now| now.is_empty() && !now.stale).await;
}
