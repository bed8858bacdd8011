//! Starts, stops, many servers at once, limits of connections.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use zk_mini::{Error, ZkMini};

use crate::raw::{Raw, eventually};

async fn refuses(addr: SocketAddr) -> bool {
    TcpStream::connect(addr).await.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

#[tokio::test]
async fn stop_frees_the_port_and_closes_every_connection() {
    let zk = ZkMini::start().await.unwrap();
    let addr = zk.addr().unwrap();
    let (mut tcp, mut memory) = (Raw::tcp(&zk).await, Raw::in_memory(&zk));
    tcp.open_session(4_000).await;
    memory.open_session(4_000).await;
    let silent = Raw::tcp(&zk).await;
    zk.stop().await;
    assert!(refuses(addr).await);
    for mut raw in [tcp, memory, silent] {
        assert_eq!(raw.receive().await, None);
    }
    TcpListener::bind(addr).await.unwrap();
}

#[tokio::test]
async fn drop_frees_the_port_at_once_and_closes_every_connection() {
    let zk = ZkMini::start().await.unwrap();
    let addr = zk.addr().unwrap();
    let mut raw = Raw::tcp(&zk).await;
    raw.open_session(4_000).await;
    drop(zk);
    assert!(refuses(addr).await);
    assert_eq!(raw.receive().await, None);
}

#[tokio::test]
async fn stop_does_not_wait_for_a_peer_that_does_not_read() {
    let zk = ZkMini::builder().in_memory().start().await.unwrap();
    let mut deaf = Raw::with_session(&zk, 4_000).await;
    let connection = || zk.connections()[0].received;
    for _ in 0..400 {
        deaf.send(&crate::raw::request(1, 1, &crate::raw::create(&format!("/{:0>1000}", 1), 0))).await;
    }
    eventually("all are read", || connection() == 401).await;
    crate::raw::within(zk.stop()).await;
}

#[tokio::test]
async fn stop_does_not_wait_for_a_peer_that_is_being_sent_its_last_replies() {
    let zk = ZkMini::builder().in_memory().start().await.unwrap();
    let mut deaf = Raw::with_session(&zk, 4_000).await;
    for xid in 0..4_000 {
        deaf.send(&crate::raw::request(xid, 4, &crate::raw::get_data("/", false))).await;
    }
    deaf.send(&crate::raw::request(4_000, -11, b"")).await;
    eventually("its session is closed", || zk.sessions().is_empty()).await;
    assert_eq!(zk.connections().len(), 1);
    // A running server would wait longer for such a peer.
    tokio::time::timeout(Duration::from_secs(4), zk.stop()).await.unwrap();
}

#[tokio::test]
async fn a_connector_of_a_stopped_server_refuses_connections() {
    let zk = ZkMini::builder().in_memory().start().await.unwrap();
    let connector = zk.connector();
    let clone = connector.clone();
    assert!(connector.connect().is_ok());
    zk.stop().await;
    assert_eq!(clone.connect().unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn in_memory_connections_work_beside_a_listener() {
    let zk = ZkMini::start().await.unwrap();
    let mut writer = Raw::with_session(&zk, 4_000).await;
    writer.create("/a", 0).await;
    let connections = zk.connections();
    assert_eq!(connections.len(), 1);
    assert_eq!((connections[0].remote, connections[0].received, connections[0].sent), (None, 2, 2));
    assert_eq!(connections[0].session, Some(zk.sessions()[0].id));
    let mut reader = Raw::tcp(&zk).await;
    reader.open_session(4_000).await;
    assert_eq!(reader.request(1, 4, &crate::raw::get_data("/a", false)).await.err, 0);
}

#[tokio::test]
async fn a_connection_is_removed_when_its_peer_closes_it_or_half_of_it() {
    use tokio::io::AsyncWriteExt;
    let zk = ZkMini::start().await.unwrap();
    let gone = Raw::tcp(&zk).await;
    let mut half = Raw::tcp(&zk).await;
    half.open_session(4_000).await;
    half.stream.shutdown().await.unwrap();
    drop(gone);
    assert_eq!(half.receive().await, None);
    eventually("both are forgotten", || zk.connections().is_empty()).await;
    assert_eq!(zk.sessions().len(), 1, "the session lives on");
}

#[tokio::test]
async fn a_thousand_servers_in_one_process() {
    let mut servers = Vec::new();
    for seed in 0..1_000 {
        servers.push(ZkMini::builder().seed(seed).start().await.unwrap());
    }
    // Every hundredth is asked over TCP, all of them in memory; each has a tree of its own.
    for (number, zk) in servers.iter().enumerate() {
        let mut raw = if number % 100 == 0 { Raw::tcp(zk).await } else { Raw::in_memory(zk) };
        raw.open_session(4_000).await;
        assert_eq!(raw.create(&format!("/{number}"), 0).await.err, 0);
    }
    for (number, zk) in servers.iter().enumerate() {
        assert_eq!(zk.children("/").unwrap(), [number.to_string(), "zookeeper".into()]);
    }
    let addrs: Vec<_> = servers.iter().map(|zk| zk.addr().unwrap()).collect();
    drop(servers);
    // Another test may have got one of so many free ports by now, for a while. It counts its connections, so none is opened.
    let all_free = async {
        for addr in addrs {
            while std::net::TcpListener::bind(addr).is_err() {
                tokio::task::yield_now().await;
            }
        }
    };
    crate::raw::within(all_free).await;
}

#[tokio::test]
async fn one_address_has_at_most_max_client_connections() {
    let zk = ZkMini::builder().max_client_connections(2).start().await.unwrap();
    let (mut first, mut second) = (Raw::tcp(&zk).await, Raw::tcp(&zk).await);
    first.open_session(4_000).await;
    second.open_session(4_000).await;
    assert_eq!(Raw::tcp(&zk).await.rest().await, b"", "closed without a word");
    // Connections in memory are not counted.
    Raw::with_session(&zk, 4_000).await;
    drop(first);
    eventually("there is room again", || zk.connections().iter().filter(|c| c.remote.is_some()).count() == 1)
        .await;
    Raw::tcp(&zk).await.open_session(4_000).await;
}

#[tokio::test]
async fn a_port_in_use_is_named_in_the_error() {
    let taken = ZkMini::start().await.unwrap();
    let addr = taken.addr().unwrap();
    let error = ZkMini::builder().listen(addr).start().await.unwrap_err();
    assert!(matches!(error, Error::Listen { .. }));
    let message = error.to_string();
    assert!(message.contains(&addr.to_string()) && message.contains("in use"), "{message}");
}

#[tokio::test]
async fn settings_that_contradict_each_other_are_refused() {
    let builder = || ZkMini::builder().in_memory();
    assert!(matches!(builder().tick(Duration::ZERO).start().await, Err(Error::ZeroTick)));
    let contradiction = builder().min_session_timeout(Duration::from_secs(50)).start().await;
    assert!(matches!(contradiction, Err(Error::SessionTimeouts { .. })));
    // The logs alone would keep nothing.
    let logs = builder().data_log_dir("/logs").start().await;
    assert!(matches!(logs, Err(Error::LogDirAlone { .. })));
}

#[tokio::test]
async fn the_connect_string_of_a_server_on_every_address_is_loopback() {
    let zk = ZkMini::builder().listen((Ipv4Addr::UNSPECIFIED, 0)).start().await.unwrap();
    assert_eq!(zk.connect_string(), format!("127.0.0.1:{}", zk.addr().unwrap().port()));
}
