//! A service in the registry, as others see it.

use std::time::Duration;

use registry::{
    Change, Drained, Instance, Members, RegisterOptions, RegistrationState, Registry, WithdrawReason,
};
use serde_json::{Value, json};

use super::members;
use crate::wait::PATIENCE;

/// Registers, changes, withdraws and registers an instance, and closes its session. A subscriber sees each change.
///
/// # Panics
/// If a change is not seen.
pub async fn a_subscriber_sees_every_change_of_an_instance(connect: impl AsyncFn() -> Registry) {
    let (provider, watcher) = (connect().await, connect().await);
    let service = "scenario/life";
    let mut seen = watcher.subscribe(service).await.expect("subscribed");
    assert_eq!(*seen.current(), Members::default());

    let busy = |busy: bool| Instance::new("127.0.0.1", 8001).with("busy", busy);
    let registration = provider.register(service, busy(false)).await.expect("registered");
    let came = members("the instance comes", &mut seen, |now| now.len() == 1).await;
    let [Change::Up(id, instance)] = &Members::default().diff(&came)[..] else {
        panic!("one comes: {came:?}")
    };
    assert_eq!(**instance, busy(false));
    assert_eq!(watcher.discover(service).await.expect("discovered"), *came);

    registration.update(busy(true)).await.expect("updated");
    let is_busy =
        |now: &Members| now.instances.values().all(|one| one.get("busy") == Some(&Value::from(true)));
    let changed = members("the instance is busy", &mut seen, is_busy).await;
    assert_eq!(came.diff(&changed), [Change::Updated(id.clone(), busy(true).into())]);

    registration.withdraw().await.expect("withdrawn");
    let gone = members("the instance goes", &mut seen, Members::is_empty).await;
    assert_eq!(changed.diff(&gone), [Change::Down(id.clone())]);

    let _registration = provider.register(service, busy(false)).await.expect("registered");
    members("the instance comes back", &mut seen, |now| now.len() == 1).await;
    provider.close().await.expect("closed");
    members("the instance goes with its session", &mut seen, Members::is_empty).await;
    watcher.close().await.expect("closed");
}

/// Registers an instance under the id of another one, whose process lives. A subscriber never sees two or none, the older one
/// gives up, and the newer one drains.
///
/// # Panics
/// If it is otherwise.
pub async fn a_newer_instance_takes_the_place_of_an_older_one(connect: impl AsyncFn() -> Registry) {
    let (older, newer, watcher) = (connect().await, connect().await, connect().await);
    let service = "scenario/place";
    let register = async |registry: &Registry, port| {
        let (instance, options) = (Instance::new("127.0.0.1", port), RegisterOptions::default().id("host-7"));
        registry.register_with(service, instance, options).await.expect("registered")
    };
    let mut first = register(&older, 8001).await;
    let mut seen = watcher.subscribe(service).await.expect("subscribed");
    members("the first", &mut seen, |now| now.len() == 1).await;
    let second = register(&newer, 8002).await;
    let follows = async {
        let mut now = seen.current();
        while now.instances.values().all(|instance| instance.port() == 8001) {
            assert_eq!(now.len(), 1);
            now = seen.changed().await.expect("the watcher is open");
        }
        assert_eq!(now.len(), 1);
    };
    tokio::time::timeout(PATIENCE, follows).await.expect("the second is seen");
    let replaced = RegistrationState::Withdrawn(WithdrawReason::Replaced);
    assert_eq!(first.changed().await, Some(replaced));
    first.withdraw().await.expect("nothing is left to do");
    assert_eq!(watcher.discover(service).await.expect("discovered").len(), 1);

    let drained = second.drain(Duration::from_secs(1)).await.expect("drained");
    assert_eq!(drained, Drained::Confirmed);
    assert!(seen.current().is_empty(), "it was heard by then");
    for registry in [older, newer, watcher] {
        registry.close().await.expect("closed");
    }
}

/// Creates children that are no instances. They are reported and hide no instance.
///
/// # Panics
/// If one is not reported, or hides an instance.
pub async fn foreign_nodes_are_skipped_and_reported(client: zk_client::Client) {
    let registry = Registry::new(client.clone());
    let service = "scenario-foreign";
    let _good = registry.register(service, Instance::new("127.0.0.1", 8001)).await.expect("registered");
    let foreign = [
        ("empty", ""),
        ("text", "hello"),
        ("no-port", r#"{"host": "a"}"#),
        ("port-0", r#"{"host":"a","port":0}"#),
    ];
    for (name, data) in foreign {
        let path = format!("/{service}/{name}");
        client.create(&path, data, zk_client::CreateMode::Ephemeral).await.expect("created");
    }
    let python = json!({"host": "127.0.0.1", "port": 8002}).to_string();
    let path = format!("/{service}/rpc");
    let mode = zk_client::CreateMode::EphemeralSequential;
    client.create(&path, python, mode).await.expect("created");

    let found = registry.discover(service).await.expect("discovered");
    let mut ports: Vec<u16> = found.instances.values().map(|instance| instance.port()).collect();
    ports.sort_unstable();
    assert_eq!(ports, [8001, 8002]);
    let mut skipped: Vec<&str> = found.skipped.iter().map(|skipped| skipped.id.as_str()).collect();
    skipped.sort_unstable();
    assert_eq!(skipped, ["empty", "no-port", "port-0", "text"]);
    registry.close().await.expect("closed");
}
