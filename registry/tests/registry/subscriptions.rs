//! Subscriptions on a server in memory: changes, cost, lost connections and sessions, errors.

use std::time::Duration;

use registry::{Members, Registry, SubscribeOptions};
use zk_client::{Acl, Client, CreateMode, ErrorCode, Expected};
use zk_wire::OpCode;

use crate::support::{Way, at, members, ports, registry, server, soon, stranger};

async fn put(client: &Client, name: &str, data: &str) {
    let path = format!("/demo/{name}");
    client.create(&path, data.to_owned(), CreateMode::Persistent).await.expect("a new node");
}

#[tokio::test]
async fn a_subscriber_sees_instances_come_change_and_go() {
    let zk = server().await;
    let registry = registry(&zk).await;
    let mut demo = soon(registry.subscribe("demo")).await.unwrap();
    assert!(demo.current().is_empty() && !demo.current().stale, "known to be empty");

    let one = soon(registry.register("demo", at(1))).await.unwrap();
    members(&mut demo, |members| ports(members) == [1]).await;
    let two = soon(registry.register("demo", at(2))).await.unwrap();
    members(&mut demo, |members| ports(members) == [1, 2]).await;
    soon(one.update(at(3))).await.unwrap();
    members(&mut demo, |members| ports(members) == [2, 3]).await;
    soon(two.withdraw()).await.unwrap();
    members(&mut demo, |members| ports(members) == [3]).await;
    soon(one.withdraw()).await.unwrap();
    members(&mut demo, Members::is_empty).await;
}

#[tokio::test]
async fn a_clone_sees_the_death_of_a_member_too() {
    let zk = server().await;
    let (watcher, worker) = (registry(&zk).await, registry(&zk).await);
    let _registration = soon(worker.register("demo", at(1))).await.unwrap();
    let mut demo = soon(watcher.subscribe("demo")).await.unwrap();
    let mut clone = demo.clone();
    soon(worker.close()).await.unwrap();
    members(&mut demo, Members::is_empty).await;
    members(&mut clone, Members::is_empty).await;
}

#[tokio::test]
async fn foreign_children_count_and_broken_ones_are_skipped_and_reported() {
    let zk = server().await;
    let (registry, stranger) = (registry(&zk).await, stranger(&zk).await);
    stranger.ensure_path("/demo").await.unwrap();
    put(&stranger, "kazoo", r#"{"host": "10.0.0.1", "port": 5000}"#).await;
    put(&stranger, "empty", "").await;
    put(&stranger, "text", "hello").await;
    put(&stranger, "portless", r#"{"host": "10.0.0.1"}"#).await;
    let found = soon(registry.discover("demo")).await.unwrap();
    assert_eq!(ports(&found), [5000]);
    let skipped: Vec<_> = found.skipped.iter().map(ToString::to_string).collect();
    assert_eq!(skipped[0], "empty: no data");
    assert_eq!(skipped[1], r#"portless: field "port" is missing"#);
    assert!(skipped[2].starts_with("text: not JSON: "), "{skipped:?}");

    let mut demo = soon(registry.subscribe("demo")).await.unwrap();
    assert_eq!(*demo.current(), found);
    // A broken node is repaired, and a good one breaks.
    stranger.set("/demo/empty", r#"{"host":"10.0.0.2","port":5001}"#, Expected::Any).await.unwrap();
    members(&mut demo, |members| ports(members) == [5000, 5001] && members.skipped.len() == 2).await;
    stranger.set("/demo/kazoo", "", Expected::Any).await.unwrap();
    members(&mut demo, |members| ports(members) == [5001] && members.skipped.len() == 3).await;
}

#[tokio::test]
async fn an_unreadable_node_is_skipped_and_reported() {
    let zk = server().await;
    let (registry, stranger) = (registry(&zk).await, stranger(&zk).await);
    stranger.ensure_path("/demo").await.unwrap();
    put(&stranger, "good", r#"{"host":"a","port":1}"#).await;
    let secret = Acl { perms: zk_client::Perms::WRITE, ..Acl::open() };
    stranger.create_with_acl("/demo/secret", "x", CreateMode::Persistent, &[secret]).await.unwrap();
    let demo = soon(registry.subscribe("demo")).await.unwrap();
    for found in [soon(registry.discover("demo")).await.unwrap(), (*demo.current()).clone()] {
        assert_eq!(ports(&found), [1]);
        assert!(found.skipped[0].to_string().starts_with("secret: cannot be read: "), "{:?}", found.skipped);
    }
}

#[tokio::test]
async fn a_node_that_becomes_readable_becomes_a_member() {
    let zk = server().await;
    let (registry, stranger) = (registry(&zk).await, stranger(&zk).await);
    stranger.ensure_path("/demo").await.unwrap();
    let secret = Acl { perms: zk_client::Perms::ADMIN, ..Acl::open() };
    let data = r#"{"host":"a","port":7}"#;
    stranger.create_with_acl("/demo/late", data, CreateMode::Persistent, &[secret]).await.unwrap();
    put(&stranger, "empty", "").await;
    for updates in [true, false] {
        let options = SubscribeOptions::default().updates(updates);
        let mut demo = soon(registry.subscribe_with("demo", options)).await.unwrap();
        assert_eq!(demo.current().skipped.len(), 2);
        // No event tells of a new ACL and, without watches, of new data.
        stranger.set_acl("/demo/late", &[Acl::open()], Expected::Any).await.unwrap();
        stranger.set("/demo/empty", r#"{"host":"a","port":8}"#, Expected::Any).await.unwrap();
        let found = members(&mut demo, |members| ports(members) == [7, 8]).await;
        assert_eq!(soon(registry.discover("demo")).await.unwrap(), *found);
        let secret = Acl { perms: zk_client::Perms::ADMIN, ..Acl::open() };
        stranger.set_acl("/demo/late", &[secret], Expected::Any).await.unwrap();
        stranger.set("/demo/empty", "", Expected::Any).await.unwrap();
    }
}

#[tokio::test]
async fn the_last_members_stay_without_a_connection_and_are_updated_after_it() {
    let zk = server().await;
    let way = Way::to(&zk);
    let (watcher, worker) = (way.registry().await, registry(&zk).await);
    let one = soon(worker.register("demo", at(1))).await.unwrap();
    let mut demo = soon(watcher.subscribe("demo")).await.unwrap();

    way.cut().await;
    let stale = members(&mut demo, |members| members.stale).await;
    assert_eq!(ports(&stale), [1]);
    let _two = soon(worker.register("demo", at(2))).await.unwrap();
    soon(one.withdraw()).await.unwrap();
    assert_eq!(ports(&demo.current()), [1]);
    way.mend();
    let healed = members(&mut demo, |members| !members.stale).await;
    assert_eq!(ports(&healed), [2], "missed changes are made up for");
}

#[tokio::test]
async fn members_are_updated_after_an_expired_session_too() {
    let zk = server().await;
    let way = Way::to(&zk);
    let (watcher, stranger) = (way.registry().await, stranger(&zk).await);
    stranger.ensure_path("/demo").await.unwrap();
    put(&stranger, "a", r#"{"host":"a","port":1}"#).await;
    put(&stranger, "b", r#"{"host":"b","port":2}"#).await;
    let mut demo = soon(watcher.subscribe("demo")).await.unwrap();

    way.cut().await;
    members(&mut demo, |members| members.stale).await;
    zk.advance(Duration::from_secs(13)).await;
    let stranger = crate::support::stranger(&zk).await;
    stranger.set("/demo/a", r#"{"host":"a","port":3}"#, Expected::Any).await.unwrap();
    stranger.delete("/demo/b", Expected::Any).await.unwrap();
    way.mend();
    members(&mut demo, |members| !members.stale && ports(members) == [3]).await;
    // Later changes are seen, too.
    stranger.set("/demo/a", r#"{"host":"a","port":4}"#, Expected::Any).await.unwrap();
    put(&stranger, "c", r#"{"host":"c","port":5}"#).await;
    members(&mut demo, |members| ports(members) == [4, 5]).await;
}

#[tokio::test]
async fn a_service_may_be_deleted_and_created_again() {
    let zk = server().await;
    let (registry, stranger) = (registry(&zk).await, stranger(&zk).await);
    let mut demo = soon(registry.subscribe("demo")).await.unwrap();
    for port in 1..4 {
        stranger.ensure_path("/demo").await.unwrap();
        put(&stranger, "same", &format!(r#"{{"host":"a","port":{port}}}"#)).await;
        members(&mut demo, |members| ports(members) == [port]).await;
        stranger.delete("/demo/same", Expected::Any).await.unwrap();
        stranger.delete("/demo", Expected::Any).await.unwrap();
        members(&mut demo, Members::is_empty).await;
    }
}

#[tokio::test]
async fn a_subscription_without_updates_sees_new_members_only() {
    let zk = server().await;
    let registry = registry(&zk).await;
    let one = soon(registry.register("demo", at(1))).await.unwrap();
    let options = SubscribeOptions::default().updates(false);
    let mut demo = soon(registry.subscribe_with("demo", options)).await.unwrap();
    soon(one.update(at(3))).await.unwrap();
    let _two = soon(registry.register("demo", at(2))).await.unwrap();
    members(&mut demo, |members| ports(members) == [1, 2]).await;
}

#[tokio::test]
async fn a_subscription_ends_with_the_registry() {
    let zk = server().await;
    let registry = registry(&zk).await;
    let mut demo = soon(registry.subscribe("demo")).await.unwrap();
    soon(registry.close()).await.unwrap();
    while let Some(members) = soon(demo.changed()).await {
        assert!(members.stale);
    }
    assert!(demo.current().stale, "no server is asked any more");
}

#[tokio::test]
async fn a_service_that_cannot_be_listed_is_an_error() {
    let zk = server().await;
    let (registry, stranger) = (registry(&zk).await, stranger(&zk).await);
    let secret = Acl { perms: zk_client::Perms::CREATE, ..Acl::open() };
    stranger.create_with_acl("/demo", "", CreateMode::Persistent, &[secret]).await.unwrap();
    let error = soon(registry.subscribe("demo")).await.unwrap_err();
    assert!(error.to_string().starts_with("cannot subscribe to service \"demo\": "), "{error}");
    assert!(soon(registry.discover("demo")).await.is_err());
}

#[tokio::test]
async fn a_change_among_thousands_of_instances_costs_one_list_or_one_read() {
    const MANY: u16 = 3_000;
    let zk = server().await;
    let (way, stranger) = (Way::to(&zk), stranger(&zk).await);
    let watcher = way.registry().await;
    stranger.ensure_path("/demo").await.unwrap();
    for port in 1..=MANY {
        put(&stranger, &port.to_string(), &format!(r#"{{"host":"a","port":{port}}}"#)).await;
    }
    let mut demo = soon(watcher.subscribe("demo")).await.unwrap();
    assert_eq!(demo.current().len(), usize::from(MANY));
    assert_eq!(soon(watcher.discover("demo")).await.unwrap(), *demo.current());

    let lists = async |mark| way.requests(OpCode::GET_CHILDREN2, mark).await;
    let reads = async |mark| way.requests(OpCode::GET_DATA, mark).await;
    let mark = zk.mark();
    put(&stranger, "new", r#"{"host":"a","port":60000}"#).await;
    members(&mut demo, |members| members.len() == usize::from(MANY) + 1).await;
    assert_eq!((lists(&mark).await, reads(&mark).await), (1, 1), "one came");

    let mark = zk.mark();
    stranger.set("/demo/new", r#"{"host":"a","port":60001}"#, Expected::Any).await.unwrap();
    members(&mut demo, |members| members.instances[&"new".into()].port() == 60001).await;
    assert_eq!((lists(&mark).await, reads(&mark).await), (0, 1), "one changed");

    let mark = zk.mark();
    stranger.delete("/demo/new", Expected::Any).await.unwrap();
    members(&mut demo, |members| members.len() == usize::from(MANY)).await;
    // A list may still be under way. There must be no read.
    assert_eq!(reads(&mark).await, 0, "one went");
}

#[tokio::test]
async fn an_embedded_registry_works_as_any_other() {
    let registry = soon(Registry::embedded()).await.unwrap();
    let _registration = soon(registry.register("demo", at(1))).await.unwrap();
    assert_eq!(registry.server().unwrap().children("/demo").unwrap().len(), 1);
    let error = stranger(registry.server().unwrap()).await.delete("/demo", Expected::Any).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::NOT_EMPTY));
}

#[tokio::test]
async fn what_an_embedded_registry_has_made_keeps_its_server() {
    let registry = soon(Registry::embedded()).await.unwrap();
    let zk = zk_mini::Handle::clone(registry.server().unwrap());
    let mut subscription = soon(registry.subscribe("demo")).await.unwrap();
    let registration = soon(registry.register("demo", at(1))).await.unwrap();
    drop(registry);
    members(&mut subscription, |members| ports(members) == [1]).await;
    soon(registration.withdraw()).await.unwrap();
    members(&mut subscription, Members::is_empty).await;
    drop(subscription);
    soon(async {
        while !zk.status().stopped {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Two watchers and three workers have a connection each. Connections break and heal, and sessions expire, in an order that a
/// seed decides. In the end all watchers see all workers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_watchers_agree_after_lost_connections_and_sessions() {
    let mut chance = fastrand::Rng::with_seed(7);
    for _ in 0..5 {
        let zk = server().await;
        let ways: Vec<_> = (0..5).map(|_| Way::to(&zk)).collect();
        let mut registries = Vec::new();
        for way in &ways {
            registries.push(way.registry().await);
        }
        let mut watchers = Vec::new();
        for registry in &registries[..2] {
            watchers.push(soon(registry.subscribe("demo")).await.unwrap());
        }
        let mut workers = Vec::new();
        for (registry, port) in registries[2..].iter().zip(1..) {
            workers.push(soon(registry.register("demo", at(port))).await.unwrap());
        }
        for round in 0..20 {
            let way = &ways[chance.usize(..5)];
            match chance.u8(..6) {
                0 | 1 => way.cut().await,
                2 | 3 => way.mend(),
                4 => zk.advance(Duration::from_secs(chance.u64(1..15))).await,
                _ => {
                    let update = workers[chance.usize(..3)].update(at(100 + round));
                    // It may have to wait for its connection; this test does not.
                    let _ = tokio::time::timeout(Duration::from_millis(1), update).await;
                }
            }
        }
        ways.iter().for_each(Way::mend);
        for (worker, port) in workers.iter().zip(201..) {
            soon(worker.update(at(port))).await.unwrap();
        }
        for watcher in &mut watchers {
            members(watcher, |members| !members.stale && ports(members) == [201, 202, 203]).await;
        }
        assert_eq!(zk.children("/demo").unwrap().len(), 3, "one node each");
    }
}
