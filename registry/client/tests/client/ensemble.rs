//! Clients of a simulated ensemble: they fail over, read the past, sync, and go on read-only.

use std::time::Duration;

use zk_client::{Client, CreateMode, Error, ErrorCode, EventType, Expected, SessionState};
use zk_mini::{Lag, ZkMini};

use crate::support::{PATIENCE, soon, until};

async fn three() -> ZkMini {
    ZkMini::builder().servers(3).start().await.unwrap()
}

/// Returns the number of the server that serves the only session.
fn serving(zk: &ZkMini) -> usize {
    let conn = zk.sessions()[0].conn.expect("a connection");
    let at = |number: &usize| {
        zk.server(*number).is_ok_and(|server| server.connections().iter().any(|own| own.id == conn))
    };
    (1..=3).find(at).expect("a server")
}

/// Waits until the only session has a connection.
async fn back(zk: &ZkMini) {
    let session = zk.session(zk.sessions()[0].id).expect("it lives");
    session.until_connected(PATIENCE).await.unwrap();
}

async fn retried<T>(call: impl AsyncFn() -> Result<T, Error>) -> T {
    loop {
        match call().await {
            Err(error) if error.is_retryable() => {}
            result => return result.expect("answered"),
        }
    }
}

#[tokio::test]
async fn a_client_goes_on_at_another_server_with_its_nodes_and_watches() {
    let zk = three().await;
    let client = Client::connect(&zk.connect_string()).await.unwrap();
    client.create("/mine", "", CreateMode::Ephemeral).await.unwrap();
    let (_, _, mut watch) = client.get_and_watch("/mine").await.unwrap();
    for _ in 0..3 {
        let server = zk.server(serving(&zk)).unwrap();
        server.stop().await;
        back(&zk).await;
        assert!(retried(async || client.exists("/mine").await).await.is_some());
        assert_ne!(serving(&zk), server.number());
        server.start().await.unwrap();
        back(&zk).await;
    }
    zk.set("/mine", "new").await.unwrap();
    let event = soon(watch.changed()).await.unwrap();
    assert_eq!((event.event, &*event.path), (EventType::NODE_DATA_CHANGED, "/mine"));
    client.close().await.unwrap();
    assert!(zk.get("/mine").is_none());
}

#[tokio::test]
async fn a_client_that_forgets_sync_reads_the_past() {
    let zk = three().await;
    let behind = zk.server(1).unwrap();
    let reader = Client::connect(&behind.connect_string()).await.unwrap();
    behind.lag(Lag::Transactions(10)).await.unwrap();
    let writer = Client::connect(&zk.server(2).unwrap().connect_string()).await.unwrap();
    writer.create("/config", "1", CreateMode::Persistent).await.unwrap();
    assert_eq!(reader.exists("/config").await.unwrap(), None);
    reader.sync("/config").await.unwrap();
    assert_eq!(reader.get("/config").await.unwrap().0, "1");
    writer.set("/config", "2", Expected::Any).await.unwrap();
    assert_eq!(reader.get("/config").await.unwrap().0, "1");
    let updated = reader.set("/config", "3", Expected::Any).await.unwrap();
    assert_eq!(reader.get("/config").await.unwrap().1, updated, "its own write is not the past");
}

#[tokio::test]
async fn a_client_does_not_go_back_in_time_when_it_looks_for_another_server() {
    let zk = three().await;
    let (behind, own) = (zk.server(1).unwrap(), zk.server(2).unwrap());
    behind.stop().await;
    let servers = format!("{},{}", behind.connect_string(), own.connect_string());
    let client = Client::connect(&servers).await.unwrap();
    behind.start().await.unwrap();
    behind.lag(Lag::Transactions(10)).await.unwrap();
    for n in 0..3 {
        let node = client.create(&format!("/n{n}"), "", CreateMode::Persistent).await.unwrap();
        own.restart().await.unwrap();
        let seen = retried(async || client.exists(&node.path).await).await;
        assert_eq!(seen, Some(node.stat));
        assert_eq!(serving(&zk), 2, "the other one is behind what it has seen");
    }
    assert!(behind.info().behind >= 3);
}

#[tokio::test]
async fn a_session_goes_on_at_a_server_that_was_behind_and_gives_sessions_of_its_own() {
    let builder = ZkMini::builder().servers(3).local_sessions(true).local_session_upgrades(true);
    let zk = builder.start().await.unwrap();
    let (behind, own) = (zk.server(1).unwrap(), zk.server(2).unwrap());
    zk.server(3).unwrap().lead().await.unwrap();
    behind.stop().await;
    let servers = format!("{},{}", behind.connect_string(), own.connect_string());
    let client = Client::connect(&servers).await.unwrap();
    behind.start().await.unwrap();
    behind.lag(Lag::Transactions(10)).await.unwrap();
    // Makes the session one of all servers.
    client.create("/mine", "", CreateMode::Ephemeral).await.unwrap();
    let connected = client.state();
    own.stop().await;
    let is_disconnected = |state: &SessionState| matches!(state, SessionState::Disconnected(_));
    until(&client, is_disconnected).await;
    assert_eq!(until(&client, |state| !is_disconnected(state)).await, connected);
    assert!(client.exists("/mine").await.unwrap().is_some());
}

#[tokio::test]
async fn read_only_clients_are_served_without_a_quorum_and_get_a_session_of_all_when_it_is_back() {
    let zk = three().await;
    zk.create("/a", "kept").await.unwrap();
    let strict = Client::connect(&zk.connect_string()).await.unwrap();
    zk.lose_quorum().await;
    let client =
        Client::builder().servers(zk.connect_string()).read_only(true).connect_timeout(PATIENCE).connect();
    let client = client.await.unwrap();
    let SessionState::ConnectedReadOnly(local) = client.state() else { panic!("{}", client.state()) };
    assert_eq!(client.get("/a").await.unwrap().0, "kept");
    let refused = client.set("/a", "new", Expected::Any).await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::NOT_READ_ONLY));
    assert!(matches!(strict.state(), SessionState::Disconnected(_)));
    let late = Client::builder().servers(zk.connect_string()).connect_timeout(Duration::from_millis(500));
    assert!(matches!(late.connect().await, Err(Error::Unreachable { .. })));

    zk.regain_quorum().await;
    let state = until(&client, |state| matches!(state, SessionState::Connected(_))).await;
    assert_ne!(state, SessionState::Connected(local));
    until(&strict, |state| matches!(state, SessionState::Connected(_))).await;
    for client in [client, strict] {
        client.set("/a", "new", Expected::Any).await.unwrap();
    }
}
