//! Connections over streams of the test's own.

use std::net::SocketAddr;

use tokio::io::AsyncReadExt;
use zk_mini::{ServeError, ZkMini};

use crate::raw::{CREATE, EPHEMERAL, GET_DATA, Raw, eventually, get_data, string};

fn peer(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Serves one end of a pipe; returns the other.
fn served(zk: &ZkMini, from: &str) -> Result<Raw, ServeError> {
    let (client, server) = tokio::io::duplex(4096);
    zk.serve_stream(server, peer(from))?;
    Ok(Raw { stream: Box::new(client) })
}

#[tokio::test]
async fn a_stream_is_a_connection_from_its_peer() {
    let zk = ZkMini::builder().in_memory().start().await.unwrap();
    let (client, server) = tokio::io::duplex(4096);
    let conn = zk.serve_stream(server, peer("10.1.2.3:4567")).unwrap();
    let mut raw = Raw { stream: Box::new(client) };
    raw.open_session(4_000).await;
    raw.create("/e", EPHEMERAL).await;
    let infos = zk.connections();
    assert_eq!((infos[0].id, infos[0].remote), (conn, Some(peer("10.1.2.3:4567"))));
    drop(raw);
}

#[tokio::test]
async fn access_lists_and_the_maximum_of_connections_see_the_address_of_the_peer() {
    let zk = ZkMini::builder().in_memory().max_client_connections(1).start().await.unwrap();
    let mut allowed = served(&zk, "10.0.0.1:1").unwrap();
    assert_eq!(served(&zk, "10.0.0.1:2").err(), Some(ServeError::TooManyConnections));
    let mut other = served(&zk, "10.0.0.2:1").unwrap();

    allowed.open_session(4_000).await;
    other.open_session(4_000).await;
    let all_for = |ip| [&[0, 0, 0, 1, 0, 0, 0, 31][..], &string("ip"), &string(ip)].concat();
    let create = [string("/a"), string("x"), all_for("10.0.0.1"), vec![0; 4]].concat();
    assert_eq!(allowed.request(1, CREATE, &create).await.err, 0);
    assert_eq!(other.request(1, GET_DATA, &get_data("/a", false)).await.err, -102);
    assert_eq!(allowed.request(2, GET_DATA, &get_data("/a", false)).await.err, 0);
}

#[tokio::test]
async fn a_refused_stream_is_closed_and_frees_nothing() {
    let zk = ZkMini::builder().in_memory().max_client_connections(1).start().await.unwrap();
    let first = served(&zk, "10.0.0.1:1").unwrap();
    let (mut client, server) = tokio::io::duplex(64);
    zk.serve_stream(server, peer("10.0.0.1:2")).unwrap_err();
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    assert!(served(&zk, "10.0.0.1:3").is_err());
    drop(first);
    eventually("the first connection to end", || zk.connections().is_empty()).await;
    served(&zk, "10.0.0.1:4").unwrap();
    let handle = (*zk).clone();
    zk.stop().await;
    let (_, server) = tokio::io::duplex(64);
    assert_eq!(handle.serve_stream(server, peer("10.0.0.1:5")), Err(ServeError::Stopped));
}
