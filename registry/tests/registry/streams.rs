//! Subscriptions as streams, and as the discovery of tower's balancers.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures_util::{FutureExt, StreamExt};
use registry::{
    ConnectionState, Discover, Instance, Members, RegistrationState, Subscription, WithdrawReason,
};
use tower::discover::Change;

use crate::support::{Way, at, members, ports, registry, server, soon};

#[tokio::test]
async fn a_stream_begins_with_the_present_members_and_goes_on_with_newer_ones() {
    let zk = server().await;
    let registry = registry(&zk).await;
    let one = soon(registry.register("demo", at(1))).await.unwrap();
    let mut demo = soon(registry.subscribe("demo")).await.unwrap().into_stream();
    assert_eq!(ports(&soon(demo.next()).await.unwrap()), [1]);
    assert!(demo.next().now_or_never().is_none(), "nothing is told twice");

    let _two = soon(registry.register("demo", at(2))).await.unwrap();
    assert_eq!(ports(&soon(demo.next()).await.unwrap()), [1, 2]);
    soon(one.withdraw()).await.unwrap();
    assert_eq!(ports(&soon(demo.next()).await.unwrap()), [2]);
}

#[tokio::test]
async fn a_slow_reader_of_a_stream_sees_the_latest_members_once() {
    let zk = server().await;
    let registry = registry(&zk).await;
    let mut demo = soon(registry.subscribe("demo")).await.unwrap();
    let mut slow = demo.clone().into_stream();
    assert!(soon(slow.next()).await.unwrap().is_empty());
    for wanted in 1..=20 {
        let registration = soon(registry.register("demo", at(wanted))).await.unwrap();
        members(&mut demo, |members| ports(members) == [wanted]).await;
        soon(registration.withdraw()).await.unwrap();
        members(&mut demo, Members::is_empty).await;
    }
    let _last = soon(registry.register("demo", at(21))).await.unwrap();
    members(&mut demo, |members| ports(members) == [21]).await;
    assert_eq!(ports(&soon(slow.next()).await.unwrap()), [21]);
    assert!(slow.next().now_or_never().is_none());
}

#[tokio::test]
async fn a_stream_that_is_read_first_after_a_change_tells_it_once() {
    let zk = server().await;
    let registry = registry(&zk).await;
    let mut demo = soon(registry.subscribe("demo")).await.unwrap();
    let mut late = demo.clone().into_stream();
    let _one = soon(registry.register("demo", at(1))).await.unwrap();
    members(&mut demo, |members| ports(members) == [1]).await;
    assert_eq!(ports(&soon(late.next()).await.unwrap()), [1]);
    assert!(late.next().now_or_never().is_none());
}

#[tokio::test]
async fn streams_end_with_the_registry() {
    let zk = server().await;
    let registry = registry(&zk).await;
    let mut demo = soon(registry.subscribe("demo")).await.unwrap().into_stream();
    let mut connection = registry.connection().into_stream();
    assert!(!soon(demo.next()).await.unwrap().stale);
    assert_eq!(soon(connection.next()).await, Some(ConnectionState::Connected));

    soon(registry.close()).await.unwrap();
    assert_eq!(soon(connection.next()).await, Some(ConnectionState::Closed));
    assert_eq!(soon(connection.next()).await, None);
    let rest: Vec<_> = soon(demo.by_ref().collect()).await;
    assert!(rest.last().is_some_and(|last| last.stale), "no server is asked any more");
    assert_eq!(soon(demo.next()).await, None);
}

#[tokio::test]
async fn the_states_of_a_registration_are_a_stream_with_the_reasons() {
    let zk = server().await;
    let registry = registry(&zk).await;
    let one = soon(registry.register("demo", at(1))).await.unwrap();
    let mut states = one.states();
    assert!(matches!(soon(states.next()).await, Some(RegistrationState::Registered { .. })));
    assert!(states.next().now_or_never().is_none());
    soon(one.withdraw()).await.unwrap();
    assert_eq!(soon(states.next()).await, Some(RegistrationState::Withdrawn(WithdrawReason::Requested)));
    assert_eq!(soon(states.next()).await, None);
}

#[tokio::test]
async fn the_names_of_the_services_are_a_stream() {
    let zk = server().await;
    let registry = registry(&zk).await;
    let mut services = soon(registry.services()).await.unwrap().into_stream();
    assert!(soon(services.next()).await.unwrap().names.is_empty());
    let _one = soon(registry.register("demo", at(1))).await.unwrap();
    assert!(soon(services.next()).await.unwrap().names.contains("demo"));
    soon(registry.close()).await.unwrap();
    assert!(soon(services.collect::<Vec<_>>()).await.iter().all(|last| last.stale));
}

/// Returns the changes that are ready: each with its key, and the port of a new service.
fn changes<F>(discover: &mut Discover<String, F>) -> BTreeMap<String, Option<u16>>
where
    F: FnMut(&Instance) -> Option<u16>,
{
    let mut changes = BTreeMap::new();
    let mut cx = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(Ok(change))) = Pin::new(&mut *discover).poll_next_unpin(&mut cx) {
        let (key, port) = match change {
            Change::Insert(key, port) => (key, Some(port)),
            Change::Remove(key) => (key, None),
        };
        assert!(changes.insert(key, port).is_none(), "one change a key");
    }
    changes
}

fn key(port: u16) -> String {
    at(port).addr()
}

async fn until(demo: &mut Subscription, wanted: &[u16]) {
    members(demo, |members| ports(members) == wanted).await;
}

#[tokio::test]
async fn a_discovery_inserts_and_removes_exactly_the_difference() {
    let zk = server().await;
    let registry = registry(&zk).await;
    let one = soon(registry.register("demo", at(1))).await.unwrap();
    let two = soon(registry.register("demo", at(2))).await.unwrap();
    let mut demo = soon(registry.subscribe("demo")).await.unwrap();
    let mut services = demo.clone().discover_by_addr(|instance| Some(instance.port()));
    assert_eq!(changes(&mut services), [(key(1), Some(1)), (key(2), Some(2))].into());
    assert_eq!(changes(&mut services), [].into());

    // One came and went unseen, one comes, one goes, one has new data.
    let unseen = soon(registry.register("demo", at(9))).await.unwrap();
    until(&mut demo, &[1, 2, 9]).await;
    soon(unseen.withdraw()).await.unwrap();
    soon(one.withdraw()).await.unwrap();
    soon(two.update(at(2).with("load", 1))).await.unwrap();
    let _three = soon(registry.register("demo", at(3))).await.unwrap();
    members(&mut demo, |members| ports(members) == [2, 3]).await;
    assert_eq!(changes(&mut services), [(key(1), None), (key(3), Some(3))].into());

    // A second instance at an address, and the first one goes: the same connection serves.
    let _again = soon(registry.register("demo", at(2))).await.unwrap();
    until(&mut demo, &[2, 2, 3]).await;
    soon(two.withdraw()).await.unwrap();
    until(&mut demo, &[2, 3]).await;
    assert_eq!(changes(&mut services), [].into());
}

#[tokio::test]
async fn a_discovery_by_id_replaces_the_service_of_an_instance_with_new_data() {
    let zk = server().await;
    let registry = registry(&zk).await;
    let one = soon(registry.register("demo", at(1))).await.unwrap();
    let mut services =
        soon(registry.subscribe("demo")).await.unwrap().discover(|instance| Some(instance.port()));
    let Some(Ok(Change::Insert(id, 1))) = soon(services.next()).await else { panic!("one is there") };
    soon(one.update(at(2))).await.unwrap();
    assert!(matches!(soon(services.next()).await, Some(Ok(Change::Insert(same, 2))) if same == id));
    soon(one.withdraw()).await.unwrap();
    assert!(matches!(soon(services.next()).await, Some(Ok(Change::Remove(same))) if same == id));
}

#[tokio::test]
async fn a_discovery_keeps_its_services_while_the_registry_is_away_and_ends_with_it() {
    let zk = server().await;
    let way = Way::to(&zk);
    let (watcher, worker) = (way.registry().await, registry(&zk).await);
    let _one = soon(worker.register("demo", at(1))).await.unwrap();
    let mut demo = soon(watcher.subscribe("demo")).await.unwrap();
    let mut services = demo.clone().discover_by_addr(|instance| Some(instance.port()));
    assert_eq!(changes(&mut services), [(key(1), Some(1))].into());
    way.cut().await;
    members(&mut demo, |members| members.stale).await;
    assert_eq!(changes(&mut services), [].into());
    way.mend();
    members(&mut demo, |members| !members.stale).await;
    assert_eq!(changes(&mut services), [].into());
    soon(watcher.close()).await.unwrap();
    assert!(soon(services.next()).await.is_none());
}
