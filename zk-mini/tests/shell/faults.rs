//! Faults as a test asks for them, over memory and TCP.

use std::net::SocketAddr;
use std::time::Duration;

use zk_mini::storage::SimulatedDisk;
use zk_mini::{On, Rule, RuleError, Then, WhyNoMore, ZkMini};
use zk_wire::{ErrorCode, OpCode};

use crate::raw::{CREATE, GET_DATA, PING, Raw, create, get_data, request, within};

async fn in_memory() -> ZkMini {
    ZkMini::builder().in_memory().seed(1).manual_clock().start().await.unwrap()
}

#[tokio::test]
async fn a_guard_counts_and_names_what_its_rule_has_hit() {
    let zk = in_memory().await;
    let mut raw = Raw::with_session(&zk, 4_000).await;
    let lost = zk.fault(On::create("/demo/**").nth(1), Then::apply_and_lose_reply());
    assert_eq!(raw.create("/demo", 0).await.err, 0);
    assert_eq!((lost.fired(), lost.hits().len()), (0, 0));
    raw.send(&request(7, CREATE, &create("/demo/a", 0))).await;
    assert_eq!(raw.receive().await, None, "the connection ends without the reply");
    let hit = lost.until_fired().await.unwrap();
    let session = zk.sessions()[0].id;
    assert_eq!(hit.to_string(), format!("create of /demo/a, request 7, session {session}, connection 1"));
    assert_eq!((lost.fired(), lost.hits()), (1, vec![hit]));
    assert!(zk.get("/demo/a").is_some());
}

#[tokio::test]
async fn a_rule_ends_with_its_guard_unless_it_is_kept() {
    let zk = in_memory().await;
    let mut raw = Raw::with_session(&zk, 4_000).await;
    let guard = zk.fault(On::any(), Then::fail(ErrorCode::API_ERROR));
    assert_eq!(raw.request(1, GET_DATA, &get_data("/", false)).await.err, -100);
    drop(guard);
    assert_eq!(raw.request(1, GET_DATA, &get_data("/", false)).await.err, 0);
    let id = zk.fault(On::any(), Then::fail(ErrorCode::API_ERROR)).keep();
    assert_eq!(raw.request(1, GET_DATA, &get_data("/", false)).await.err, -100);
    assert_eq!(zk.faults().iter().map(|fault| fault.id).collect::<Vec<_>>(), [id]);
    zk.remove_faults();
    assert_eq!(raw.request(1, GET_DATA, &get_data("/", false)).await.err, 0);
    assert!(zk.faults().is_empty() && !zk.remove_fault(id));
}

#[tokio::test]
async fn the_record_of_a_removed_rule_stays_with_its_guard() {
    let zk = in_memory().await;
    let mut raw = Raw::with_session(&zk, 4_000).await;
    let guard = zk.fault(On::any(), Then::fail(ErrorCode::API_ERROR));
    raw.request(1, GET_DATA, &get_data("/", false)).await;
    assert!(zk.remove_fault(guard.id()));
    assert_eq!((guard.fired(), guard.hits().len()), (1, 1));
    assert!(guard.until_fired().await.is_ok());
    let error = guard.until_fired_times(2).await.unwrap_err();
    assert_eq!((error.fired, error.why), (1, WhyNoMore::Removed));
}

#[tokio::test]
async fn waiting_ends_when_the_rule_can_fire_no_more() {
    let zk = in_memory().await;
    let mut raw = Raw::with_session(&zk, 4_000).await;
    let once = zk.fault(On::any().times(1), Then::fail(ErrorCode::API_ERROR));
    let endless = zk.fault(On::any(), Then::fail(ErrorCode::API_ERROR));
    let waiting = {
        let twice = once.until_fired_times(2);
        let path = get_data("/", false);
        let ask = raw.request(1, GET_DATA, &path);
        within(async { tokio::join!(twice, ask).0 }).await
    };
    assert_eq!(waiting.unwrap_err().why, WhyNoMore::UsedUp);
    let stopped = within(async { tokio::join!(endless.until_fired(), zk.stop()).0 }).await;
    let error = stopped.unwrap_err();
    assert_eq!(error.why, WhyNoMore::Stopped);
    assert_eq!(
        error.to_string(),
        "the rule \"any request: fail with APIERROR\" has fired 0 times and fires no more: the server has stopped"
    );
    assert_eq!(once.fired(), 1, "the record can still be read");
}

#[tokio::test]
async fn waiting_ends_when_chance_has_used_the_rule_up() {
    let zk = in_memory().await;
    let mut raw = Raw::with_session(&zk, 4_000).await;
    let never = zk.fault(On::any().nth(1).probability(0.0, 1), Then::fail(ErrorCode::API_ERROR));
    let waiting = {
        let path = get_data("/", false);
        let ask = raw.request(1, GET_DATA, &path);
        within(async { tokio::join!(never.until_fired(), ask).0 }).await
    };
    let error = waiting.unwrap_err();
    assert_eq!((error.fired, error.why), (0, WhyNoMore::UsedUp));
}

#[tokio::test]
async fn many_firings_can_be_awaited_and_the_latest_hundred_are_kept() {
    let zk = in_memory().await;
    let mut raw = Raw::with_session(&zk, 4_000).await;
    let fault = zk.fault(On::op(OpCode::PING), Then::fail(ErrorCode::API_ERROR));
    for _ in 0..150 {
        assert_eq!(raw.request(-2, PING, &[]).await.err, -100);
    }
    assert_eq!(fault.until_fired_times(150).await.unwrap().number, 150);
    assert_eq!(fault.until_fired().await.unwrap().number, 51, "the oldest that is kept");
    assert_eq!(fault.hits().len(), 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_can_be_about_the_connections_to_one_address() {
    let [here, there]: [SocketAddr; 2] = ["127.0.0.1:0".parse().unwrap(), "127.0.0.2:0".parse().unwrap()];
    let zk = ZkMini::builder().listen(here).also_listen(there).start().await.unwrap();
    let port = zk.addr().unwrap().port();
    let second = SocketAddr::new(there.ip(), port);
    let refused = zk.fault(On::connect().listener(second), Then::refuse());
    let mut welcome = Raw::tcp(&zk).await;
    welcome.open_session(4_000).await;
    let mut unwelcome = Raw { stream: Box::new(tokio::net::TcpStream::connect(second).await.unwrap()) };
    unwelcome.send(&crate::raw::connect_request(4_000)).await;
    assert_eq!(unwelcome.receive().await, None);
    refused.until_fired().await.unwrap();
    let nowhere = "127.0.0.1:1".parse().unwrap();
    let rule = Rule::new(On::connect().listener(nowhere), Then::refuse()).unwrap();
    assert_eq!(zk.try_fault(rule).unwrap_err(), RuleError::NoSuchListener(nowhere));
}

#[tokio::test]
#[should_panic(expected = "is not a glob")]
async fn an_impossible_rule_panics_with_the_reason() {
    let _ = in_memory().await.fault(On::create("demo"), Then::disconnect());
}

#[tokio::test]
async fn a_manual_clock_reaches_the_end_of_a_delay() {
    let zk = in_memory().await;
    let mut raw = Raw::with_session(&zk, 40_000).await;
    let _late = zk.fault(On::create("/a"), Then::delay(Duration::from_secs(3)));
    raw.send(&request(1, CREATE, &create("/a", 0))).await;
    raw.send(&request(2, GET_DATA, &get_data("/a", false))).await;
    zk.advance(Duration::from_millis(2_999)).await;
    assert!(zk.get("/a").is_none());
    zk.advance(Duration::from_millis(1)).await;
    let replies = [raw.reply().await, raw.reply().await];
    assert_eq!(replies.map(|reply| (reply.xid, reply.err)), [(1, 0), (2, 0)]);
}

#[tokio::test]
async fn a_real_clock_reaches_it_too() {
    let zk = ZkMini::start().await.unwrap();
    let mut raw = Raw::tcp(&zk).await;
    raw.open_session(10_000).await;
    let late = zk.fault(On::get_data("/"), Then::apply_and_delay_reply(Duration::from_millis(30)));
    let begun = tokio::time::Instant::now();
    assert_eq!(raw.request(1, GET_DATA, &get_data("/", false)).await.err, 0);
    assert!(begun.elapsed() >= Duration::from_millis(29), "{:?}", begun.elapsed());
    assert_eq!(late.fired(), 1);
}

#[tokio::test]
async fn a_slow_connection_is_fast_when_the_guard_goes() {
    let zk = in_memory().await;
    let slow = zk.fault(On::connect(), Then::slow(Duration::from_secs(5), None));
    let mut raw = Raw::in_memory(&zk);
    raw.send(&crate::raw::connect_request(40_000)).await;
    slow.until_fired().await.unwrap();
    assert!(zk.sessions().is_empty());
    drop(slow);
    assert!(raw.receive().await.is_some());
    assert_eq!(raw.request(1, GET_DATA, &get_data("/", false)).await.err, 0);
}

#[tokio::test]
async fn a_lost_reply_is_to_a_durable_transaction() {
    let disk = SimulatedDisk::new(1);
    let start = || ZkMini::builder().in_memory().manual_clock().data_dir("/data").disk(&disk).start();
    let zk = start().await.unwrap();
    let mut raw = Raw::with_session(&zk, 4_000).await;
    let _lost = zk.fault(On::create("/a"), Then::apply_and_lose_reply());
    raw.send(&request(1, CREATE, &create("/a", 0))).await;
    assert_eq!(raw.receive().await, None);
    // The connection has ended, so the transaction is on the disk.
    disk.lose_power();
    drop(zk);
    disk.restore_power();
    assert!(start().await.unwrap().get("/a").is_some());
}
