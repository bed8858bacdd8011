//! Requests that subscriptions share, and the herd of many clients.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use registry::codec::{Codec, Dubbo, Json};
use registry::{Filter, Members, Registry, SubscribeOptions};
use zk_client::{CreateMode, Expected};
use zk_mini::history::EntryKind;
use zk_mini::testing::in_virtual_time;
use zk_mini::{Handle, On, Then, ZkMini};
use zk_wire::OpCode;

use crate::support::{Way, at, members, ports, registry, server, soon, stranger};

#[tokio::test]
async fn all_subscribers_of_a_process_cost_one_list_and_one_read_for_a_change() {
    let zk = server().await;
    let (way, worker) = (Way::to(&zk), registry(&zk).await);
    let caller = way.registry().await;
    let one = soon(worker.register("demo", at(1).with_zone("a"))).await.unwrap();
    let nearby = SubscribeOptions::default().filter(Filter::default().zone("a"));
    let mut all = soon(caller.subscribe("demo")).await.unwrap();

    let mark = zk.mark();
    let mut nearby = soon(caller.clone().subscribe_with("demo", nearby)).await.unwrap();
    assert_eq!(ports(&nearby.current()), [1]);
    let requests = zk.history().since(&mark).requests();
    assert!(requests.is_empty(), "known already: {requests:?}");

    let _two = soon(worker.register("demo", at(2).with_zone("b"))).await.unwrap();
    members(&mut all, |members| ports(members) == [1, 2]).await;
    soon(one.update(at(3).with_zone("a"))).await.unwrap();
    members(&mut all, |members| ports(members) == [2, 3]).await;
    members(&mut nearby, |members| ports(members) == [3]).await;
    assert_eq!(way.requests(OpCode::GET_CHILDREN2, &mark).await, 1, "one came");
    assert_eq!(way.requests(OpCode::GET_DATA, &mark).await, 2, "one came, and one changed");
    zk.history().since(&mark).reads_per_change(1).unwrap();
}

#[tokio::test]
async fn a_subscriber_hears_only_of_changes_that_its_filter_shows() {
    let zk = server().await;
    let (caller, worker) = (registry(&zk).await, registry(&zk).await);
    let options = SubscribeOptions::default().filter(Filter::default().tag("canary"));
    let mut canaries = soon(caller.subscribe_with("demo", options)).await.unwrap();
    let mut all = soon(caller.subscribe("demo")).await.unwrap();
    let _one = soon(worker.register("demo", at(1))).await.unwrap();
    members(&mut all, |members| ports(members) == [1]).await;
    assert!(canaries.changed().now_or_never().is_none() && canaries.current().is_empty());
    let _two = soon(worker.register("demo", at(2).with_tags(["canary"]))).await.unwrap();
    assert_eq!(ports(&soon(canaries.changed()).await.unwrap()), [2]);
}

#[tokio::test]
async fn subscriptions_that_read_differently_have_requests_of_their_own() {
    let zk = server().await;
    let (caller, worker) = (registry(&zk).await, registry(&zk).await);
    let one = soon(worker.register("demo", at(1))).await.unwrap();
    let mut all = soon(caller.subscribe("demo")).await.unwrap();
    let names = SubscribeOptions::default().updates(false);
    let names = soon(caller.subscribe_with("demo", names)).await.unwrap();
    soon(one.update(at(2))).await.unwrap();
    members(&mut all, |members| ports(members) == [2]).await;
    assert_eq!(ports(&names.current()), [1]);
}

#[tokio::test]
async fn a_service_is_followed_again_after_its_last_subscription_is_gone() {
    let zk = server().await;
    let (caller, worker) = (registry(&zk).await, registry(&zk).await);
    for port in 1..=3 {
        let mut demo = soon(caller.subscribe("demo")).await.unwrap();
        let clone = demo.clone();
        drop(clone);
        let registration = soon(worker.register("demo", at(port))).await.unwrap();
        members(&mut demo, |members| ports(members) == [port]).await;
        soon(registration.withdraw()).await.unwrap();
        members(&mut demo, Members::is_empty).await;
    }
}

#[tokio::test]
async fn the_last_subscription_takes_its_watches_from_the_server() {
    let zk = server().await;
    let (caller, worker) = (registry(&zk).await, registry(&zk).await);
    let mut registrations = Vec::new();
    for port in 1..=5 {
        registrations.push(soon(worker.register("demo", at(port))).await.unwrap());
    }
    let count = |zk: &Handle| zk.watches().len();
    let before = count(&zk);
    let both: [Arc<dyn Codec>; 2] = [Arc::new(Json), Arc::new(Dubbo::default())];
    let both = SubscribeOptions::default().codecs(both);
    let first = soon(caller.subscribe("demo")).await.unwrap();
    let second = soon(caller.subscribe_with("demo", both)).await.unwrap();
    let services = soon(caller.services()).await.unwrap();
    assert_eq!(
        count(&zk),
        before + 1 + 5 + 1 + 1,
        "the list, the instances, the other format, and the services"
    );
    drop(first);
    soon(caller.discover("demo")).await.unwrap();
    assert_eq!(count(&zk), before + 8, "the other subscription reads the format, too");
    drop((second, services));
    zk.wait_for(|zk| count(zk) == before, Duration::from_secs(60)).await.unwrap();
}

#[tokio::test]
async fn a_subscription_to_a_closed_registry_is_refused() {
    let zk = server().await;
    let registry = registry(&zk).await;
    let _demo = soon(registry.subscribe("demo")).await.unwrap();
    soon(registry.close()).await.unwrap();
    assert!(matches!(soon(registry.subscribe("demo")).await, Err(registry::Error::Closed)));
    assert!(matches!(soon(registry.services()).await, Err(registry::Error::Closed)));
}

async fn in_simulation() -> ZkMini {
    ZkMini::builder().in_memory().auto_advance().seed(7).start().await.unwrap()
}

async fn callers(zk: &ZkMini, count: u64) -> Vec<Registry> {
    let mut callers = Vec::new();
    for seed in 0..count {
        callers.push(Registry::builder().embedded(zk).seed(seed).connect().await.unwrap());
    }
    callers
}

/// Returns the wall-clock times of the lists and reads below the service, in milliseconds.
fn times_of_reads(zk: &ZkMini, since: &zk_mini::history::Mark) -> BTreeSet<i64> {
    let requests = zk.history().since(since).path("/demo").kind(EntryKind::Request);
    let reads = requests.iter().filter(|entry| entry.op.is_some_and(|op| op != OpCode::CREATE2));
    reads.map(|entry| entry.time.0).collect()
}

#[test]
fn a_herd_of_subscribers_reads_each_change_once_and_not_at_the_same_time() {
    const MANY: u64 = 100;
    const SPREAD: Duration = Duration::from_secs(2);
    in_virtual_time(async {
        let zk = in_simulation().await;
        let worker = Registry::builder().embedded(&zk).seed(1_000).connect().await.unwrap();
        let one = worker.register("demo", at(1)).await.unwrap();
        let mut subscriptions = Vec::new();
        let callers = callers(&zk, MANY).await;
        for caller in &callers {
            let options = SubscribeOptions::default().spread(SPREAD);
            subscriptions.push(caller.subscribe_with("demo", options).await.unwrap());
        }

        // Several changes within the spread are one for each subscriber.
        let mark = zk.mark();
        let two = worker.register("demo", at(2)).await.unwrap();
        let _three = worker.register("demo", at(3)).await.unwrap();
        one.update(at(4)).await.unwrap();
        tokio::time::sleep(SPREAD).await;
        for subscription in &mut subscriptions {
            members(subscription, |members| ports(members) == [2, 3, 4]).await;
        }
        zk.history().since(&mark).reads_per_change(1).unwrap();
        let reads: usize = zk
            .history()
            .since(&mark)
            .requests()
            .iter()
            .filter(|((op, _), _)| [OpCode::GET_CHILDREN2, OpCode::GET_DATA].contains(op))
            .map(|(_, count)| count)
            .sum();
        assert_eq!(reads, 100 * 4, "a list and three reads each");
        let times = times_of_reads(&zk, &mark);
        assert!(times.len() > 80, "{times:?}");

        // So is the return of all connections.
        let mark = zk.mark();
        zk.all_sessions().disconnect().await;
        two.withdraw().await.unwrap();
        tokio::time::sleep(6 * SPREAD).await;
        for subscription in &mut subscriptions {
            members(subscription, |members| ports(members) == [3, 4] && !members.stale).await;
        }
        let times = times_of_reads(&zk, &mark);
        assert!(times.len() > 80, "{times:?}");
    });
}

#[test]
fn a_herd_without_a_spread_reads_each_change_once_too() {
    in_virtual_time(async {
        let zk = in_simulation().await;
        let callers = callers(&zk, 50).await;
        let mut subscriptions = Vec::new();
        for caller in &callers {
            subscriptions.push(caller.subscribe("demo").await.unwrap());
        }
        let worker = Registry::builder().embedded(&zk).seed(1_000).connect().await.unwrap();
        let mark = zk.mark();
        for port in 1..=20 {
            let one = worker.register("demo", at(port)).await.unwrap();
            one.update(at(port + 100)).await.unwrap();
            for subscription in &mut subscriptions {
                members(subscription, |members| ports(members) == [port + 100]).await;
            }
            one.withdraw().await.unwrap();
            for subscription in &mut subscriptions {
                members(subscription, Members::is_empty).await;
            }
        }
        zk.history().since(&mark).reads_per_change(1).unwrap();
    });
}

#[test]
fn a_slow_reader_sees_the_latest_members_and_nothing_is_queued() {
    in_virtual_time(async {
        let zk = in_simulation().await;
        let stranger = stranger(&zk).await;
        stranger.create("/demo", "", CreateMode::Persistent).await.unwrap();
        stranger.create("/demo/a", r#"{"host":"a","port":1}"#, CreateMode::Persistent).await.unwrap();
        let registry = Registry::builder().embedded(&zk).seed(1).connect().await.unwrap();
        let mut demo = registry.subscribe("demo").await.unwrap();
        for port in 2..=1_000 {
            let data = format!(r#"{{"host":"a","port":{port}}}"#);
            stranger.set("/demo/a", data, Expected::Any).await.unwrap();
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(ports(&demo.changed().await.unwrap()), [1_000]);
        assert!(demo.changed().now_or_never().is_none());
    });
}

#[test]
fn a_slow_server_makes_changes_share_the_next_read() {
    in_virtual_time(async {
        let zk = in_simulation().await;
        let registry = Registry::builder().embedded(&zk).seed(1).connect().await.unwrap();
        let mut demo = registry.subscribe("demo").await.unwrap();
        let stranger = stranger(&zk).await;
        stranger.create("/demo", "", CreateMode::Persistent).await.unwrap();
        let _slow = zk.fault(On::op(OpCode::GET_CHILDREN2), Then::delay(Duration::from_secs(1)));
        let mark = zk.mark();
        for port in 1..=100 {
            let data = format!(r#"{{"host":"a","port":{port}}}"#);
            stranger.create(&format!("/demo/{port}"), data, CreateMode::Persistent).await.unwrap();
        }
        members(&mut demo, |members| members.len() == 100).await;
        let lists = zk.history().since(&mark).requests();
        let lists: usize =
            lists.iter().filter(|((op, _), _)| *op == OpCode::GET_CHILDREN2).map(|(_, n)| n).sum();
        assert!(lists <= 3, "{lists} lists");
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_and_a_registration_outlive_the_runtime_that_began_them() {
    let zk = ZkMini::builder().in_memory().start().await.unwrap();
    let registry = registry(&zk).await;
    let elsewhere = registry.clone();
    let began = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let registration = elsewhere.register("demo", at(1)).await.unwrap();
            (registration, elsewhere.subscribe("demo").await.unwrap())
        })
    });
    let (registration, mut first) = tokio::task::spawn_blocking(|| began.join().unwrap()).await.unwrap();
    let mut second = soon(registry.subscribe("demo")).await.unwrap();

    let path = registration.path().unwrap();
    zk.session_of(&path).unwrap().expire().await;
    let _other = soon(registry.register("demo", at(2))).await.unwrap();
    for subscription in [&mut first, &mut second] {
        members(subscription, |members| ports(members) == [1, 2]).await;
    }
}
