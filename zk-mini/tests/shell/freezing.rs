//! Freezing: accepted, never read, nothing answered.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use zk_mini::ZkMini;

use crate::raw::{
    CREATE, EPHEMERAL, GET_DATA, PING, Raw, connect_request, create, eventually, frame, get_data, request,
    resume_request, within,
};

const SECOND: Duration = Duration::from_secs(1);

async fn started(listens: bool) -> ZkMini {
    let builder = ZkMini::builder().manual_clock();
    if listens { builder.start().await } else { builder.in_memory().start().await }.unwrap()
}

async fn unconnected(zk: &ZkMini) -> Raw {
    if zk.addr().is_some() { Raw::tcp(zk).await } else { Raw::in_memory(zk) }
}

/// Returns true if nothing arrives, though the server has handled everything that it may.
async fn hears_nothing(zk: &ZkMini, raw: &mut Raw) -> bool {
    zk.advance(Duration::ZERO).await;
    tokio::time::timeout(Duration::from_millis(10), raw.stream.read(&mut [0; 1])).await.is_err()
}

async fn a_frozen_connection(listens: bool) {
    let zk = started(listens).await;
    let mut frozen = unconnected(&zk).await;
    frozen.open_session(4_000).await;
    frozen.create("/leader", EPHEMERAL).await;
    let mut watching = unconnected(&zk).await;
    watching.open_session(40_000).await;
    watching.request(1, GET_DATA, &get_data("/leader", true)).await;
    let conn = zk.sessions()[0].conn.unwrap();

    assert!(zk.freeze_connection(conn));
    frozen.send(&request(-2, PING, &[])).await;
    assert!(hears_nothing(&zk, &mut frozen).await);
    assert!(zk.sessions()[0].frozen && zk.connections()[0].frozen && !zk.connections()[1].frozen);

    zk.advance(6 * SECOND).await;
    assert_eq!(zk.sessions().len(), 1, "its session expires as time goes");
    assert_eq!(watching.receive().await.unwrap()[16..20], [0, 0, 0, 2], "NodeDeleted");
    assert!(hears_nothing(&zk, &mut frozen).await, "not even that it is closed");
    assert_eq!(zk.connections().len(), 2);

    assert!(zk.thaw_connection(conn).await);
    assert_eq!(frozen.receive().await, None);
    assert_eq!(zk.connections().len(), 1);
    assert!(!zk.thaw_connection(conn).await && !zk.freeze_connection(conn));
}

#[tokio::test]
async fn a_frozen_connection_gets_nothing_and_its_close_after_the_thaw() {
    a_frozen_connection(false).await;
    a_frozen_connection(true).await;
}

#[tokio::test]
async fn what_a_frozen_connection_has_sent_is_answered_when_the_thaw_returns() {
    for listens in [false, true] {
        let zk = started(listens).await;
        let mut raw = unconnected(&zk).await;
        raw.open_session(40_000).await;
        let conn = zk.connections()[0].id;
        zk.freeze_connection(conn);
        for xid in 1..=3 {
            raw.send(&request(xid, CREATE, &create(&format!("/{xid}"), 0))).await;
        }
        assert!(hears_nothing(&zk, &mut raw).await);
        zk.thaw_connection(conn).await;
        assert_eq!(zk.children("/").unwrap(), ["1", "2", "3", "zookeeper"]);
        for xid in 1..=3 {
            assert_eq!(raw.reply().await.xid, xid);
        }
    }
}

#[tokio::test]
async fn a_frozen_session_is_silent_on_later_connections() {
    let zk = started(true).await;
    let mut raw = unconnected(&zk).await;
    let answered = raw.open_session(4_000).await;
    let session = zk.all_sessions().iter().next().unwrap();
    session.freeze();
    drop(raw);
    let mut again = unconnected(&zk).await;
    again.send(&resume_request(&answered)).await;
    assert!(hears_nothing(&zk, &mut again).await);
    let mut other = unconnected(&zk).await;
    other.open_session(40_000).await;
    zk.advance(3 * SECOND).await;
    assert!(hears_nothing(&zk, &mut again).await);
    session.thaw().await;
    assert_eq!(again.receive().await.unwrap(), answered);
    assert_eq!(zk.connections().len(), 2, "the first connection is missed by now");
}

#[tokio::test]
async fn a_session_that_expires_while_it_is_frozen_is_refused_after_the_thaw() {
    let zk = started(false).await;
    let mut raw = Raw::in_memory(&zk);
    let answered = raw.open_session(4_000).await;
    let session = zk.all_sessions().iter().next().unwrap();
    session.freeze();
    zk.advance(6 * SECOND).await;
    let mut again = Raw::in_memory(&zk);
    again.send(&resume_request(&answered)).await;
    assert!(hears_nothing(&zk, &mut again).await && hears_nothing(&zk, &mut raw).await);
    session.thaw().await;
    assert_eq!(raw.receive().await, None);
    assert_eq!(again.receive().await.unwrap()[4..16], [0; 12]);
    assert_eq!(again.receive().await, None);
}

async fn a_stall(listens: bool) {
    let zk = started(listens).await;
    let (mut alive, mut silent) = (unconnected(&zk).await, unconnected(&zk).await);
    alive.open_session(4_000).await;
    silent.open_session(4_000).await;
    zk.freeze();
    assert!(zk.is_frozen());
    zk.advance(60 * SECOND).await;
    alive.send(&request(-2, PING, &[])).await;
    let mut new = unconnected(&zk).await;
    new.send(&connect_request(4_000)).await;
    let mut asking = unconnected(&zk).await;
    asking.write(b"ruok").await;
    for raw in [&mut alive, &mut silent, &mut new, &mut asking] {
        assert!(hears_nothing(&zk, raw).await);
    }
    assert_eq!(zk.sessions().len(), 2, "nobody expires");

    zk.thaw().await;
    assert!(!zk.is_frozen());
    assert_eq!(alive.reply().await.xid, -2, "the ping was handled first");
    assert!(new.receive().await.is_some());
    assert_eq!(asking.rest().await, b"imok");
    assert_eq!(silent.receive().await, None);
    assert_eq!(zk.sessions().len(), 2);
}

#[tokio::test]
async fn a_frozen_server_stalls_and_handles_what_arrived_first_after_the_thaw() {
    a_stall(false).await;
    a_stall(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_stalls_in_real_time() {
    let zk = ZkMini::builder().tick(Duration::from_millis(20)).start().await.unwrap();
    let (mut alive, mut silent) = (Raw::tcp(&zk).await, Raw::tcp(&zk).await);
    alive.open_session(40).await;
    silent.open_session(40).await;
    zk.freeze();
    alive.send(&request(-2, PING, &[])).await;
    let start = zk.now().mono;
    eventually("a long stall", || zk.now().mono.0 > start.0 + 200).await;
    assert_eq!(zk.sessions().len(), 2);
    zk.thaw().await;
    assert_eq!(alive.reply().await.xid, -2);
    assert_eq!(silent.receive().await, None);
}

#[tokio::test]
async fn a_frozen_listener_accepts_and_does_not_answer() {
    let builder = ZkMini::builder().listen(([127, 0, 0, 1], 0)).also_listen(([127, 0, 0, 2], 0));
    let zk = builder.manual_clock().start().await.unwrap();
    let addr = zk.addr().unwrap();
    let mut other = addr;
    other.set_ip([127, 0, 0, 2].into());
    let mut here = Raw { stream: Box::new(TcpStream::connect(addr).await.unwrap()) };
    here.open_session(40_000).await;
    zk.freeze_listener(addr).unwrap();
    let mut later = Raw { stream: Box::new(TcpStream::connect(addr).await.unwrap()) };
    later.write(b"ruok").await;
    here.send(&request(-2, PING, &[])).await;
    assert!(hears_nothing(&zk, &mut here).await && hears_nothing(&zk, &mut later).await);
    let mut elsewhere = Raw { stream: Box::new(TcpStream::connect(other).await.unwrap()) };
    elsewhere.open_session(40_000).await;
    zk.thaw_listener(addr).await.unwrap();
    assert_eq!(here.reply().await.xid, -2);
    assert_eq!(later.rest().await, b"imok");

    let error = zk.freeze_listener("127.0.0.1:1".parse().unwrap()).unwrap_err();
    assert!(
        error.to_string().starts_with("this server does not listen at 127.0.0.1:1: it listens at [127.0")
    );
}

#[tokio::test]
async fn a_connection_without_a_session_is_not_closed_while_it_is_frozen() {
    let zk = started(true).await;
    zk.freeze_listener(zk.addr().unwrap()).unwrap();
    let mut raw = unconnected(&zk).await;
    raw.send(&connect_request(40_000)).await;
    zk.advance(60 * SECOND).await;
    assert!(hears_nothing(&zk, &mut raw).await);
    zk.thaw_listener(zk.addr().unwrap()).await.unwrap();
    assert!(raw.receive().await.is_some());
    let mut idle = unconnected(&zk).await;
    zk.advance(30 * SECOND).await;
    assert_eq!(idle.receive().await, None, "without a freeze it is");
}

#[tokio::test]
async fn a_flood_on_a_frozen_connection_waits_at_its_peer() {
    for listens in [false, true] {
        let zk = started(listens).await;
        let mut raw = unconnected(&zk).await;
        raw.open_session(40_000).await;
        zk.freeze();
        let megabyte = frame(&request(-2, PING, &[])).repeat(1 << 16);
        let mut sent = 0;
        // A socket takes some megabytes, a pipe in memory 64 KiB.
        let flood = async {
            loop {
                sent += raw.stream.write(&megabyte).await.unwrap();
            }
        };
        let _ = tokio::time::timeout(Duration::from_millis(300), flood).await;
        assert!(sent < 64 << 20, "{sent} bytes were taken");
        assert_eq!(zk.connections()[0].received, 1, "none of it was read");
        within(zk.advance(SECOND)).await;
    }
}

#[tokio::test]
async fn events_for_a_frozen_connection_are_bounded() {
    let zk = ZkMini::builder().in_memory().max_backlog(64 << 10).start().await.unwrap();
    let (mut frozen, mut writing) =
        (Raw::with_session(&zk, 40_000).await, Raw::with_session(&zk, 40_000).await);
    let watch = [crate::raw::string("/"), 1_i32.to_be_bytes().into()].concat();
    assert_eq!(frozen.request(1, 106, &watch).await.err, 0, "addWatch");
    let session = zk.session(zk.sessions()[0].id).unwrap();
    session.freeze();
    for n in 0..2_000 {
        writing.create(&format!("/{n:0>100}"), 0).await;
    }
    assert!(session.info().unwrap().conn.is_none(), "the connection is given up");
    session.thaw().await;
    assert!(frozen.rest().await.len() < 64 << 10);
}

#[tokio::test]
async fn reset_all_thaws_sessions_and_connections_too() {
    let zk = started(false).await;
    let mut raw = Raw::in_memory(&zk);
    let answered = raw.open_session(40_000).await;
    let info = zk.sessions()[0].clone();
    zk.session(info.id).unwrap().freeze();
    assert!(zk.freeze_connection(info.conn.unwrap()));
    zk.reset_all().await.unwrap();
    let mut again = Raw::in_memory(&zk);
    again.send(&resume_request(&answered)).await;
    let refused = again.receive().await.expect("an answer, though its session was frozen");
    assert_eq!(refused[8..16], [0; 8], "its session has gone");
}

#[tokio::test]
async fn a_server_that_stops_closes_frozen_connections() {
    for listens in [false, true] {
        let zk = started(listens).await;
        let mut raw = unconnected(&zk).await;
        raw.open_session(40_000).await;
        let mut new = unconnected(&zk).await;
        zk.freeze();
        new.write(b"ruok").await;
        within(zk.stop()).await;
        assert_eq!(raw.receive().await, None);
        assert!(new.rest().await.is_empty());
    }
}

#[tokio::test]
async fn freezing_twice_is_freezing_once() {
    let zk = started(false).await;
    let mut raw = Raw::with_session(&zk, 40_000).await;
    zk.freeze();
    zk.freeze();
    zk.thaw().await;
    assert_eq!(raw.request(-2, PING, &[]).await.err, 0);
    zk.thaw().await;
}

#[tokio::test]
async fn a_peer_that_leaves_a_frozen_connection_is_missed_after_the_thaw() {
    for listens in [false, true] {
        let zk = started(listens).await;
        let mut raw = unconnected(&zk).await;
        raw.open_session(40_000).await;
        zk.freeze();
        raw.send(&request(1, CREATE, &create("/last", 0))).await;
        drop(raw);
        zk.advance(SECOND).await;
        assert_eq!(zk.connections().len(), 1);
        zk.thaw().await;
        zk.wait_for(|zk| zk.connections().is_empty(), crate::raw::PATIENCE).await.unwrap();
        assert!(zk.get("/last").is_some(), "what it sent before counts");
        assert_eq!(zk.sessions().len(), 1);
    }
}

/// Freezes and thaws everything again and again while clients send.
async fn storm(listens: bool, seed: u64) {
    const REQUESTS: i32 = 400;
    let builder = ZkMini::builder();
    let zk = if listens { builder.start().await } else { builder.in_memory().start().await }.unwrap();
    let mut clients = tokio::task::JoinSet::new();
    for n in 0..6 {
        let mut raw = unconnected(&zk).await;
        raw.open_session(40_000).await;
        clients.spawn(async move {
            let (mut reading, mut writing) = tokio::io::split(raw.stream);
            let write = async {
                for xid in 1..=REQUESTS {
                    let body = create(&format!("/{n}-{xid}"), 0);
                    writing.write_all(&frame(&request(xid, CREATE, &body))).await.unwrap();
                    if xid % 16 == 0 {
                        tokio::task::yield_now().await;
                    }
                }
            };
            let read = async {
                for xid in 1..=REQUESTS {
                    let mut reply = vec![0; usize::try_from(reading.read_u32().await.unwrap()).unwrap()];
                    reading.read_exact(&mut reply).await.unwrap();
                    assert_eq!(reply[..4], xid.to_be_bytes(), "client {n}");
                }
            };
            within(async { tokio::join!(write, read) }).await;
        });
    }
    let mut chance = fastrand::Rng::with_seed(seed);
    while !clients.is_empty() && zk.children("/").unwrap().len() < 6 * 400 {
        match chance.u8(0..4) {
            0 => {
                zk.freeze();
                tokio::task::yield_now().await;
                zk.thaw().await;
            }
            1 => {
                let conns = zk.connections();
                let conn = conns[chance.usize(0..conns.len())].id;
                zk.freeze_connection(conn);
                tokio::task::yield_now().await;
                zk.thaw_connection(conn).await;
            }
            _ => {
                let some = zk.sessions_where(|_| chance.bool());
                some.freeze();
                tokio::task::yield_now().await;
                some.thaw().await;
            }
        }
    }
    while let Some(ended) = within(clients.join_next()).await {
        ended.unwrap();
    }
    assert_eq!(zk.children("/").unwrap().len(), 6 * 400 + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_freeze_loses_a_request_or_a_reply_of_clients_that_go_on() {
    for seed in 0..3 {
        storm(true, seed).await;
        storm(false, seed).await;
    }
}

#[tokio::test]
async fn no_freeze_on_one_thread_loses_a_request_or_a_reply() {
    storm(false, 7).await;
}
