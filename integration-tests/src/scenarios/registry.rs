//! A service in the registry, as others see it.

use registry::{Change, Instance, Members, Registry};
use serde_json::{Value, json};

use super::members;

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
