//! Balancing over real servers: instances that fail or are slow, keys, hedging, patience, and the budget of retries.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rpc_client::{Balancer, Client, Code, Error, InstanceState, OutlierEjection};
use rpc_server::{Context, Server, Service, Status};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::servers::{TestServer, client, eventually};

/// Starts a server whose method `work` ends as told, and counts its runs.
async fn server(name: &'static str, takes: Duration, code: Code) -> (SocketAddr, Arc<AtomicU64>) {
    let runs = Arc::new(AtomicU64::new(0));
    let counted = runs.clone();
    let work = move |(): (), _: Context| {
        counted.fetch_add(1, Ordering::Relaxed);
        async move {
            tokio::time::sleep(takes).await;
            if code == Code::OK { Ok(name) } else { Err(Status::new(code, "as told")) }
        }
    };
    let service = Service::builder("test").method("work", work).build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(Server::new(service).instance(name).serve(listener, std::future::pending()));
    (addr, runs)
}

async fn ready(client: &Client, instances: usize) {
    let is_ready = || client.instances().iter().filter(|info| info.state == InstanceState::Ready).count();
    eventually(async || is_ready() == instances).await;
}

#[tokio::test]
async fn an_instance_that_fails_fast_gets_few_calls_and_the_client_shows_why() {
    let takes = Duration::from_millis(1);
    let (bad, failed) = server("bad", Duration::ZERO, Code::INTERNAL).await;
    let mut addrs = vec![bad];
    for name in ["a", "b", "c"] {
        addrs.push(server(name, takes, Code::OK).await.0);
    }
    let strict = OutlierEjection::default().consecutive_failures(2);
    let client = client(addrs).outlier_ejection(strict).connect().await.unwrap();
    ready(&client, 4).await;
    let mut callers = JoinSet::new();
    for _ in 0..16 {
        let client = client.clone();
        callers.spawn(async move {
            for _ in 0..100 {
                let _ = client.call::<_, String>("work", &()).await;
            }
        });
    }
    callers.join_all().await;
    let failed = failed.load(Ordering::Relaxed);
    assert!(failed > 0 && failed < 32, "{failed} of 1600 calls, 2 % are 32");
    let instances = client.instances();
    let info = instances.iter().find(|info| info.addr == bad.to_string()).unwrap();
    assert!(info.ejections > 0, "{info:?}");
    let ejections: u64 = instances.iter().map(|info| u64::from(info.ejections)).sum();
    assert_eq!(client.metrics().snapshot().sum("rpc_client_ejections_total", &[]), ejections);
    assert_eq!((info.sent, info.failed, info.instance.as_deref()), (failed, failed, Some("bad")));
    assert!(
        instances
            .iter()
            .all(|info| info.in_flight == 0 && info.latency.is_some() == (info.addr != bad.to_string()))
    );
}

#[tokio::test]
async fn calls_with_a_key_go_to_one_instance() {
    let mut addrs = Vec::new();
    for name in ["a", "b", "c", "d"] {
        addrs.push(server(name, Duration::ZERO, Code::OK).await.0);
    }
    let balancer = Balancer::ConsistentHash { load_percent: 125 };
    let client = client(addrs).balancer(balancer).connect().await.unwrap();
    ready(&client, 4).await;
    let mut used = BTreeSet::new();
    for user in 0..40 {
        let mut by_key = BTreeSet::new();
        for _ in 0..5 {
            by_key.insert(client.call::<_, String>("work", &()).key(format!("user {user}")).await.unwrap());
        }
        assert_eq!(by_key.len(), 1, "{by_key:?}");
        used.extend(by_key);
    }
    assert_eq!(used.len(), 4);
}

#[tokio::test]
async fn a_hedged_call_takes_the_first_answer_and_cancels_the_other_attempt() {
    let mut hung = TestServer::start("hung").await;
    let hang = |(): (), _: Context| async { Ok::<_, Status>(()) };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let fast = listener.local_addr().unwrap();
    let service = Service::builder("test").method("hang", hang).build();
    tokio::spawn(Server::new(service).serve(listener, std::future::pending()));
    let client = client([hung.addr, fast]).balancer(Balancer::RoundRobin).connect().await.unwrap();
    ready(&client, 2).await;
    // Calls are made until one has begun at the one that hangs.
    while client.stats().hedged == 0 {
        client.call::<_, ()>("hang", &()).idempotent().hedge(Duration::from_millis(5)).await.unwrap();
    }
    hung.sees("started").await;
    hung.sees("dropped").await;
    assert_eq!(client.stats().hedged, 1);
}

#[tokio::test]
async fn a_call_that_is_not_idempotent_is_never_hedged() {
    let (one, _) = server("one", Duration::from_millis(30), Code::OK).await;
    let (two, _) = server("two", Duration::from_millis(30), Code::OK).await;
    let client = client([one, two]).connect().await.unwrap();
    client.call::<_, String>("work", &()).hedge(Duration::from_millis(1)).await.unwrap();
    assert_eq!(client.stats().hedged, 0);
    client.call::<_, String>("work", &()).hedge(Duration::from_millis(1)).idempotent().await.unwrap();
    assert_eq!(client.stats().hedged, 1);
}

#[tokio::test]
async fn calls_slower_than_most_are_hedged_if_the_client_says_so() {
    let mut addrs = Vec::new();
    for name in ["a", "b"] {
        addrs.push(TestServer::start(name).await);
    }
    let builder = client(addrs.iter().map(|server| server.addr)).hedge_slower_than(95);
    let client = builder.connect().await.unwrap();
    ready(&client, 2).await;
    for _ in 0..100 {
        client.call::<_, String>("slow_who", &1_u64).idempotent().await.unwrap();
    }
    let before = client.stats().hedged;
    client.call::<_, String>("slow_who", &200_u64).idempotent().await.unwrap();
    assert_eq!(client.stats().hedged, before + 1);
}

#[tokio::test]
async fn a_call_may_wait_for_an_instance_up_to_its_deadline_or_not_at_all() {
    let nowhere = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let client = client([nowhere]).wait_for_instance(Duration::from_millis(10)).connect().await.unwrap();
    let error = client.call::<_, String>("who", &()).fail_fast().await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }) && !error.may_have_been_applied(), "{error}");
    let call = client.call::<_, String>("who", &()).wait_for_ready();
    let late = async {
        let error = client.call::<_, String>("who", &()).await.unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }), "{error}");
        TestServer::start_at("late", nowhere).await
    };
    let (who, _late) = tokio::join!(call, late);
    assert_eq!(who.unwrap(), "late");
    client.call::<_, String>("who", &()).fail_fast().await.unwrap();
}

#[tokio::test]
async fn when_all_instances_fail_retries_stay_within_the_budget() {
    let (mut addrs, mut runs) = (Vec::new(), Vec::new());
    for name in ["a", "b", "c"] {
        let (addr, counted) = server(name, Duration::ZERO, Code::UNAVAILABLE).await;
        addrs.push(addr);
        runs.push(counted);
    }
    let client = client(addrs).retry_budget(10, 20).connect().await.unwrap();
    for _ in 0..200 {
        let error = client.call::<_, String>("work", &()).idempotent().await.unwrap_err();
        assert_eq!(error.code(), Code::UNAVAILABLE);
    }
    let attempts: u64 = runs.iter().map(|runs| runs.load(Ordering::Relaxed)).sum();
    assert!((200..=200 + 10 + 40).contains(&attempts), "{attempts} attempts at 200 calls");
}
