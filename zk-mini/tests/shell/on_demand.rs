//! Sessions and connections on the server's side: expiry and disconnection on demand, and waiting for a state.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use zk_mini::{On, Session, Then, ZkMini};

use crate::raw::{CREATE, EPHEMERAL, GET_DATA, PATIENCE, PING, Raw, create, get_data, resume_request};

async fn started(listens: bool, manual: bool) -> ZkMini {
    let mut builder = ZkMini::builder();
    if !listens {
        builder = builder.in_memory();
    }
    if manual {
        builder = builder.manual_clock();
    }
    builder.start().await.unwrap()
}

async fn connected(zk: &ZkMini, timeout: i32) -> Raw {
    let mut raw = if zk.addr().is_some() { Raw::tcp(zk).await } else { Raw::in_memory(zk) };
    raw.open_session(timeout).await;
    raw
}

fn leader(zk: &ZkMini) -> Session {
    zk.session_of("/leader").expect("a leader")
}

async fn expires_at_once(listens: bool, manual: bool) {
    let zk = started(listens, manual).await;
    let mut dying = Raw::in_memory(&zk);
    let answered = dying.open_session(40_000).await;
    dying.create("/leader", EPHEMERAL).await;
    let mut watching = connected(&zk, 40_000).await;
    watching.request(1, GET_DATA, &get_data("/leader", true)).await;

    assert!(leader(&zk).expire().await);

    assert!(zk.get("/leader").is_none());
    assert_eq!((zk.sessions().len(), zk.connections().len()), (1, 1));
    let event = watching.receive().await.unwrap();
    assert_eq!(event[16..24], [0, 0, 0, 2, 0, 0, 0, 3], "NodeDeleted, SyncConnected");
    assert_eq!(dying.receive().await, None);
    let mut late = Raw::in_memory(&zk);
    late.send(&resume_request(&answered)).await;
    let refused = late.receive().await.unwrap();
    assert_eq!(refused[4..16], [0; 12], "no timeout and no session");
    assert_eq!(late.receive().await, None);
}

#[tokio::test]
async fn a_session_expires_on_demand_in_memory() {
    expires_at_once(false, false).await;
    expires_at_once(false, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_expires_on_demand_over_tcp() {
    expires_at_once(true, false).await;
    expires_at_once(true, true).await;
}

#[tokio::test]
async fn when_an_expiry_returns_events_are_written_and_the_connection_is_closed() {
    let zk = started(false, true).await;
    let (mut dying, mut watching) = (connected(&zk, 40_000).await, connected(&zk, 40_000).await);
    dying.create("/leader", EPHEMERAL).await;
    watching.request(1, GET_DATA, &get_data("/leader", true)).await;
    leader(&zk).expire().await;
    // The server gets no time between the return and these looks.
    assert!(now_or_never(watching.receive()).is_some());
    assert_eq!(now_or_never(dying.stream.read_to_end(&mut Vec::new())).unwrap().unwrap(), 0);
}

#[tokio::test]
async fn a_session_expires_once() {
    let zk = started(false, false).await;
    let mut raw = connected(&zk, 40_000).await;
    raw.create("/leader", EPHEMERAL).await;
    let session = leader(&zk);
    assert!(session.expire().await && !session.expire().await);
    assert_eq!(session.info(), None);
    assert!(!session.disconnect().await);
    assert!(zk.session(session.id()).is_none() && zk.session_of("/leader").is_none());
}

#[tokio::test]
async fn a_stopped_server_expires_nothing() {
    let zk = started(false, false).await;
    let mut raw = connected(&zk, 40_000).await;
    raw.create("/leader", EPHEMERAL).await;
    let session = leader(&zk);
    zk.stop().await;
    assert!(!session.expire().await && !session.disconnect().await);
    session.freeze();
    session.thaw().await;
}

#[tokio::test]
async fn a_thousand_sessions_expire_at_once() {
    let zk = started(false, false).await;
    let mut clients = Vec::new();
    for n in 0..1_000 {
        let mut raw = connected(&zk, 40_000).await;
        raw.create(&format!("/{n}"), EPHEMERAL).await;
        clients.push(raw);
    }
    assert_eq!(zk.all_sessions().expire().await, 1_000);
    assert_eq!((zk.sessions(), zk.connections()), (vec![], vec![]));
    assert_eq!(zk.children("/").unwrap(), ["zookeeper"]);
    for client in &mut clients {
        assert_eq!(client.receive().await, None);
    }
}

#[tokio::test]
async fn an_expiry_is_durable_when_it_returns() {
    let disk = zk_mini::storage::SimulatedDisk::new(1);
    let start = async || ZkMini::builder().in_memory().data_dir("/data").disk(&disk).start().await.unwrap();
    let zk = start().await;
    let mut raw = connected(&zk, 40_000).await;
    raw.create("/leader", EPHEMERAL).await;
    let session = leader(&zk);
    assert!(session.expire().await);
    disk.lose_power();
    drop(zk);
    disk.restore_power();
    let zk = start().await;
    assert!(zk.get("/leader").is_none() && zk.session(session.id()).is_none());
}

#[tokio::test]
async fn a_disconnected_session_can_be_resumed() {
    let zk = started(true, false).await;
    let mut raw = Raw::tcp(&zk).await;
    let answered = raw.open_session(40_000).await;
    raw.create("/leader", EPHEMERAL).await;
    let session = leader(&zk);
    assert!(session.disconnect().await);
    assert_eq!(raw.receive().await, None);
    assert_eq!(session.info().unwrap().conn, None);
    assert!(!session.disconnect().await, "it has no connection");
    let _resumed = Raw::resumed(&zk, &answered).await;
    session.until_connected(PATIENCE).await.unwrap();
    assert!(zk.get("/leader").is_some());
}

#[tokio::test]
async fn sessions_are_described() {
    let zk = started(true, true).await;
    let mut raw = Raw::tcp(&zk).await;
    raw.open_session(10_000).await;
    for (path, flags) in [("/b", EPHEMERAL), ("/a", EPHEMERAL), ("/c", 0)] {
        raw.create(path, flags).await;
    }
    raw.request(1, GET_DATA, &get_data("/a", true)).await;
    zk.advance(Duration::from_secs(3)).await;
    let sessions = zk.sessions();
    let [session] = &sessions[..] else { panic!("{sessions:?}") };
    assert_eq!(session.client, zk.connections()[0].remote);
    assert_eq!(session.conn, Some(zk.connections()[0].id));
    assert_eq!(session.timeout, Duration::from_secs(10));
    assert_eq!((session.heard, session.expires_in), (Duration::from_secs(3), Duration::from_secs(9)));
    assert_eq!((&session.ephemerals[..], session.watches), (&["/a".into(), "/b".into()][..], 1));
    assert!(!session.frozen);
    let text = session.to_string();
    assert!(text.contains("heard 3s ago, expires in 9s") && text.contains("127.0.0.1:"), "{text}");
}

#[tokio::test]
async fn sessions_are_found_by_the_address_of_their_client() {
    let zk = started(true, false).await;
    let (mut remote, _local) = (Raw::tcp(&zk).await, Raw::with_session(&zk, 40_000).await);
    remote.open_session(40_000).await;
    let of_remote: Vec<_> = zk.sessions().into_iter().filter_map(|info| info.client).collect();
    let [client] = of_remote[..] else { panic!("one over TCP: {of_remote:?}") };
    assert_eq!(zk.sessions_from(client).len(), 1);
    assert_eq!(zk.sessions_from(IpAddr::from(Ipv4Addr::LOCALHOST)).len(), 1);
    assert!(zk.sessions_from(IpAddr::from([10, 0, 0, 1])).is_empty());
    let owners = zk.sessions_where(|info| !info.ephemerals.is_empty());
    assert_eq!(owners.ids(), []);
}

#[tokio::test]
async fn a_condition_is_asked_after_every_change() {
    let zk = started(false, true).await;
    let handle = zk.clone();
    let waiting = tokio::spawn(async move {
        handle.wait_for(|zk| zk.get("/now").is_some(), PATIENCE).await.map(|()| handle.last_zxid())
    });
    let mut raw = connected(&zk, 40_000).await;
    raw.create("/now", 0).await;
    assert_eq!(waiting.await.unwrap().unwrap(), zk.last_zxid());
    let session = zk.all_sessions().iter().next().unwrap();
    session.until_connected(PATIENCE).await.unwrap();
    let body = get_data("/now", true);
    let (watched, _) = tokio::join!(session.until_watches(1, PATIENCE), raw.request(1, GET_DATA, &body));
    watched.unwrap();
    let (expired, ()) = tokio::join!(session.until_expired(PATIENCE), zk.advance(Duration::from_secs(42)));
    expired.unwrap();
}

#[tokio::test]
async fn a_connection_that_ends_wakes_those_who_wait_for_it() {
    let zk = started(true, false).await;
    let raw = connected(&zk, 40_000).await;
    let session = zk.all_sessions().iter().next().unwrap();
    let (lost, ()) = tokio::join!(session.until_disconnected(PATIENCE), async { drop(raw) });
    lost.unwrap();
}

#[tokio::test]
async fn a_condition_that_never_holds_ends_with_a_description() {
    let zk = started(false, true).await;
    let _raw = connected(&zk, 40_000).await;
    let error = zk.wait_for(|_| false, Duration::from_millis(20)).await.unwrap_err();
    assert_eq!(error.limit, Duration::from_millis(20));
    let text = error.to_string();
    assert!(text.starts_with("the condition did not hold within 20ms\nthe server is at zxid"), "{text}");
    assert!(text.contains("client in this process, heard 0ns ago"), "{text}");
    assert!(text.contains("\nwhat happened last:\n"), "{text}");
    assert!(!text.contains("\nit is ") && !text.contains("fault rule"), "{text}");
    zk.freeze();
    let _rule = zk.fault(On::connect(), Then::refuse());
    let text = zk.wait_for(|_| false, Duration::from_millis(20)).await.unwrap_err().to_string();
    for reason in ["it is frozen", "its clock is held", "it has 1 fault rule"] {
        assert!(text.contains(&format!("\n{reason}")), "{text}");
    }
    let handle = zk_mini::Handle::clone(&zk);
    zk.stop().await;
    let text = handle.wait_for(|_| false, Duration::from_millis(20)).await.unwrap_err().to_string();
    assert!(text.contains("\nit is stopped\n"), "{text}");
}

#[tokio::test]
async fn explain_tells_of_kinds_in_a_snapshot_and_of_faults_at_an_expiry() {
    let zk = started(false, true).await;
    let mut raw = connected(&zk, 40_000).await;
    raw.create("/e", EPHEMERAL).await;
    let snapshot = zk.snapshot();
    let _held = zk.fault(On::expiry(), Then::hold_ephemerals(Duration::from_secs(30)));
    zk.session_of("/e").unwrap().expire().await;
    let history = zk.history().to_string();
    assert!(history.contains("at expiry: hold the ephemeral nodes for 30s"), "{history}");
    zk.reset().await.unwrap();
    zk.restore(&snapshot).await.unwrap();
    let told = zk.explain("/e").to_string();
    assert!(told.contains("created by the restore of a snapshot: ephemeral, 1 byte"), "{told}");
}

#[tokio::test]
async fn a_server_where_something_always_happens_does_not_outlast_the_limit() {
    let zk = started(false, true).await;
    let happens_meanwhile = |zk: &zk_mini::Handle| {
        zk.freeze();
        false
    };
    zk.wait_for(happens_meanwhile, Duration::from_millis(20)).await.unwrap_err();
}

#[tokio::test]
async fn waiting_needs_no_time_of_the_callers_runtime() {
    let wait = || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let zk = ZkMini::start().await.unwrap();
            zk.wait_for(|_| false, Duration::from_millis(1)).await.unwrap_err();
            assert_eq!(zk.all_sessions().expire().await, 0);
            zk.freeze();
            zk.thaw().await;
        });
    };
    tokio::task::spawn_blocking(wait).await.unwrap();
}

#[tokio::test]
async fn an_expiry_that_is_given_up_has_happened_or_not_at_all() {
    let zk = started(false, false).await;
    let mut raw = connected(&zk, 40_000).await;
    raw.create("/leader", EPHEMERAL).await;
    let session = leader(&zk);
    drop(session.expire());
    assert!(zk.get("/leader").is_some(), "it was never polled");
    let _ = now_or_never(session.expire());
    assert!(zk.get("/leader").is_none());
}

#[tokio::test]
async fn a_busy_client_does_not_hold_up_an_expiry() {
    let zk = started(true, false).await;
    let (mut busy, mut dying) = (connected(&zk, 40_000).await, connected(&zk, 40_000).await);
    dying.create("/leader", EPHEMERAL).await;
    let asks = tokio::spawn(async move {
        let ping = crate::raw::frame(&crate::raw::request(-2, PING, &[])).repeat(1_000);
        // It never reads a reply.
        for _ in 0..100 {
            busy.write(&ping).await;
        }
        busy
    });
    let session = leader(&zk);
    assert!(crate::raw::within(session.expire()).await);
    asks.abort();
}

#[tokio::test]
async fn a_create_that_comes_with_the_expiry_finds_no_session() {
    let zk = started(true, false).await;
    let mut raw = connected(&zk, 40_000).await;
    raw.create("/leader", EPHEMERAL).await;
    let session = leader(&zk);
    raw.send(&crate::raw::request(2, CREATE, &create("/late", EPHEMERAL))).await;
    session.expire().await;
    raw.rest().await;
    assert!(zk.get("/late").is_none(), "handled before, and deleted, or never");
}

/// Polls a future once.
fn now_or_never<T>(future: impl Future<Output = T>) -> Option<T> {
    match std::pin::pin!(future).poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(value) => Some(value),
        std::task::Poll::Pending => None,
    }
}
