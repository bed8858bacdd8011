//! Services that lose all instances, do not exist, or have odd nodes.

use std::time::Duration;

use registry::{Members, Registry, Status, SubscribeOptions, Subscription};
use tokio::time::Instant;
use zk_client::{Acl, Client, CreateMode, Expected, Perms};
use zk_mini::history::EntryKind;
use zk_mini::testing::in_virtual_time;
use zk_mini::{On, Then, ZkMini};
use zk_wire::OpCode;

use crate::support::{at, members, ports, registry, server, soon, stranger};

const BOUND: Duration = Duration::from_secs(30);

async fn in_simulation() -> (ZkMini, Registry, Registry) {
    let zk = ZkMini::builder().in_memory().auto_advance().seed(7).start().await.unwrap();
    let caller = Registry::builder().embedded(&zk).seed(1).connect().await.unwrap();
    let worker = Registry::builder().embedded(&zk).seed(2).connect().await.unwrap();
    (zk, caller, worker)
}

async fn holding(caller: &Registry) -> Subscription {
    caller.subscribe_with("demo", SubscribeOptions::default().empty_after(BOUND)).await.unwrap()
}

#[tokio::test]
async fn a_look_outlives_connections_that_are_lost() {
    let zk = server().await;
    let registry = registry(&zk).await;
    let _one = soon(registry.register("demo", at(1))).await.unwrap();
    let lost = [OpCode::GET_CHILDREN2, OpCode::GET_DATA]
        .map(|op| zk.fault(On::op(op).times(1), Then::apply_and_lose_reply()));
    assert_eq!(ports(&soon(registry.discover("demo")).await.unwrap()), [1]);
    assert_eq!(lost.map(|fault| fault.fired()), [1, 1]);
    let _lost = zk.fault(On::op(OpCode::GET_CHILDREN2), Then::apply_and_lose_reply());
    assert!(soon(registry.discover("demo")).await.is_err(), "but not all of them");
}

#[test]
fn all_instances_gone_at_once_are_held_for_the_bound_and_then_the_service_is_empty() {
    in_virtual_time(async {
        let (zk, caller, worker) = in_simulation().await;
        let (mut careful, mut exact) = (holding(&caller).await, caller.subscribe("demo").await.unwrap());
        let one = worker.register("demo", at(1)).await.unwrap();
        let _two = worker.register("demo", at(2)).await.unwrap();
        members(&mut careful, |members| ports(members) == [1, 2]).await;
        one.withdraw().await.unwrap();
        let left = members(&mut careful, |members| ports(members) == [2]).await;
        assert!(!left.stale, "a partial loss passes at once");
        let _three = worker.register("demo", at(3)).await.unwrap();
        members(&mut careful, |members| ports(members) == [2, 3]).await;
        tokio::time::sleep(Duration::from_secs(10)).await;

        // The registry ends the sessions of all, as after a partition; they cannot come back for a while.
        let lost = Instant::now();
        zk.session_of(&format!("/demo/{}", zk.children("/demo").unwrap()[0])).unwrap().freeze();
        let held = members(&mut careful, |members| members.stale).await;
        assert_eq!(ports(&held), [2, 3]);
        members(&mut exact, Members::is_empty).await;
        assert!(!exact.current().stale, "not held without the option");
        let since = Instant::now();
        assert_eq!(ports(&careful.current()), [2, 3]);
        let empty = members(&mut careful, Members::is_empty).await;
        assert!(!empty.stale && since.elapsed() <= BOUND && lost.elapsed() >= BOUND, "{:?}", since.elapsed());
        assert!(careful.current().is_empty());
    });
}

#[test]
fn instances_that_come_back_within_the_bound_were_never_away() {
    in_virtual_time(async {
        let (zk, caller, worker) = in_simulation().await;
        let mut demo = holding(&caller).await;
        let _one = worker.register("demo", at(1)).await.unwrap();
        members(&mut demo, |members| ports(members) == [1]).await;
        // The servers have lost their data: our sessions, too.
        zk.reset_all().await.unwrap();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(60) {
            let change = tokio::time::timeout(Duration::from_secs(1), demo.changed()).await;
            assert_eq!(ports(&demo.current()), [1], "{change:?}");
        }
        assert!(!demo.current().stale && zk.children("/demo").unwrap().len() == 1);
    });
}

#[test]
fn all_instances_that_drain_or_are_down_leave_at_once() {
    in_virtual_time(async {
        let (_zk, caller, worker) = in_simulation().await;
        let mut demo = holding(&caller).await;
        let one = worker.register("demo", at(1)).await.unwrap();
        let two = worker.register("demo", at(2)).await.unwrap();
        members(&mut demo, |members| ports(members) == [1, 2]).await;
        let begun = Instant::now();
        one.update(at(1).with_status(Status::Draining)).await.unwrap();
        two.update(at(2).with_status(Status::Down)).await.unwrap();
        assert!(!members(&mut demo, Members::is_empty).await.stale);
        one.withdraw().await.unwrap();
        two.withdraw().await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(demo.current().is_empty() && !demo.current().stale);
        assert!(begun.elapsed() < Duration::from_secs(2));
    });
}

/// Returns the number of requests of all clients since the mark, without pings.
fn requests(zk: &ZkMini, mark: &zk_mini::history::Mark) -> usize {
    zk.history().since(mark).kind(EntryKind::Request).len()
}

#[test]
fn a_service_that_does_not_exist_is_awaited_without_asking_again_and_again() {
    in_virtual_time(async {
        let (zk, caller, worker) = in_simulation().await;
        let mark = zk.mark();
        let mut demo = caller.subscribe("team/demo").await.unwrap();
        assert!(demo.current().is_empty() && !demo.current().stale);
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        assert_eq!(requests(&zk, &mark), 2, "a list, and a watch for the creation");
        for _ in 0..3 {
            let registration = worker.register("team/demo", at(1)).await.unwrap();
            members(&mut demo, |members| ports(members) == [1]).await;
            registration.withdraw().await.unwrap();
            members(&mut demo, Members::is_empty).await;
            let stranger = stranger(&zk).await;
            stranger.delete("/team/demo", Expected::Any).await.unwrap();
            stranger.delete("/team", Expected::Any).await.unwrap();
            stranger.close().await.unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
            let mark = zk.mark();
            tokio::time::sleep(Duration::from_secs(3_600)).await;
            assert_eq!(requests(&zk, &mark), 0, "the watch is enough");
        }
    });
}

async fn put(client: &Client, name: &str, data: impl Into<String>) {
    client.create(&format!("/demo/{name}"), data.into(), CreateMode::Persistent).await.unwrap();
}

#[tokio::test]
async fn garbage_huge_and_unreadable_children_hide_no_other() {
    let zk = server().await;
    let (registry, stranger) = (registry(&zk).await, stranger(&zk).await);
    stranger.ensure_path("/demo").await.unwrap();
    put(&stranger, "good", r#"{"host":"a","port":1}"#).await;
    let mut demo = soon(registry.subscribe("demo")).await.unwrap();
    put(&stranger, "garbage", "\u{0}\u{1}{").await;
    put(&stranger, "huge", format!(r#"{{"host":"a","port":2,"x":"{}"}}"#, "y".repeat(300_000))).await;
    put(&stranger, "huge-garbage", "z".repeat(1_000_000)).await;
    put(&stranger, "nested", "[".repeat(100_000)).await;
    put(&stranger, "long-host", format!(r#"{{"host":"{} ","port":2}}"#, "h".repeat(200_000))).await;
    let secret = Acl { perms: Perms::WRITE, ..Acl::open() };
    stranger.create_with_acl("/demo/secret", "x", CreateMode::Persistent, &[secret]).await.unwrap();
    put(&stranger, "also-good", r#"{"host":"a","port":3}"#).await;
    let found = members(&mut demo, |members| ports(members) == [1, 3] && members.skipped.len() == 6).await;
    let told: Vec<_> = found.skipped.iter().map(ToString::to_string).collect();
    assert!(told.iter().all(|line| line.len() < 300), "{told:?}");
    assert!(told[1].starts_with("huge: instance has 300028 bytes"), "{told:?}");
    assert_eq!(soon(registry.discover("demo")).await.unwrap(), *found);
}
