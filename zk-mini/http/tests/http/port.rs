//! One port for ZooKeeper's protocol and HTTP.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use zk_mini::ZkMini;
use zk_mini_http::{Face, Http, Settings};

use crate::support::{Client, LIMIT, start};

#[tokio::test]
async fn the_zookeeper_port_answers_http_and_does_not_count_it() {
    let (zk, http) = start(ZkMini::builder()).await;
    let status = http.get("/v1/status").await.json(200);
    assert_eq!((&status["api"], &status["connections"]), (&1.into(), &0.into()), "{status}");
    assert!(zk.connections().is_empty());
    assert_eq!(zk.history().len(), 0, "polling leaves no trace");
}

#[tokio::test]
async fn methods_that_no_call_has_are_answered() {
    let (_zk, http) = start(ZkMini::builder()).await;
    for method in ["PATCH", "TRACE", "PROPFIND"] {
        let message = http.send(method, "/v1/status", &[], b"").await.error(405);
        assert!(message.contains(method), "{message}");
        for path in ["/", "/metrics"] {
            let answer = http.send(method, path, &[], b"").await;
            assert_eq!(answer.status, 405, "{method} {path}");
            assert!(answer.text().contains(method), "{method} {path}: {:?}", answer.text());
        }
    }
    let answer = http.send("CONNECT", "localhost:80", &[], b"").await;
    assert!((400..500).contains(&answer.status), "{answer:?}");
}

#[tokio::test]
async fn http_is_answered_by_a_server_that_is_frozen_or_full() {
    let (zk, http) = start(ZkMini::builder().max_client_connections(1)).await;
    let mut first = TcpStream::connect(http.addr).await.unwrap();
    zk.wait_for(|zk| zk.connections().len() == 1, LIMIT).await.unwrap();
    http.get("/v1/status").await.json(200);
    let mut second = TcpStream::connect(http.addr).await.unwrap();
    second.write_all(b"ruok").await.unwrap();
    let closed = tokio::time::timeout(LIMIT, second.read(&mut [0; 8])).await.expect("closed in time");
    assert!(closed.is_err() || closed.is_ok_and(|read| read == 0), "one too many for ZooKeeper's protocol");
    zk.freeze();
    first.write_all(b"ru").await.unwrap();
    http.get("/v1/status").await.json(200);
    first.write_all(b"ok").await.unwrap();
    http.get("/v1/status").await.json(200);
    zk.thaw().await;
    let mut answer = String::new();
    first.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "imok", "what was sent to the frozen server is handled afterwards");
}

#[tokio::test]
async fn http_may_arrive_byte_by_byte_at_a_frozen_server() {
    let (zk, http) = start(ZkMini::builder()).await;
    zk.freeze();
    let mut stream = TcpStream::connect(http.addr).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in format!("GET /v1/status HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", http.addr).bytes()
    {
        stream.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut answer = String::new();
    tokio::time::timeout(LIMIT, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn http_is_answered_on_a_connection_that_a_restart_finds_silent() {
    let (zk, http) = start(ZkMini::builder()).await;
    for begin in ["", "GE"] {
        let mut stream = TcpStream::connect(http.addr).await.unwrap();
        stream.write_all(begin.as_bytes()).await.unwrap();
        zk.wait_for(|zk| zk.connections().len() == 1, LIMIT).await.unwrap();
        zk.restart().await;
        assert!(zk.connections().is_empty(), "none of ZooKeeper's is left");
        let request = format!("GET /v1/status HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", http.addr);
        stream.write_all(&request.as_bytes()[begin.len()..]).await.unwrap();
        let mut answer = String::new();
        tokio::time::timeout(LIMIT, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    let mut word = TcpStream::connect(http.addr).await.unwrap();
    zk.wait_for(|zk| zk.connections().len() == 1, LIMIT).await.unwrap();
    zk.reset().await.unwrap();
    word.write_all(b"ruok").await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(LIMIT, word.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert_eq!(answer, "", "another protocol is not served");
    let mut silent = TcpStream::connect(http.addr).await.unwrap();
    zk.wait_for(|zk| zk.connections().len() == 1, LIMIT).await.unwrap();
    zk.restart().await;
    zk.stop().await;
    let closed = tokio::time::timeout(LIMIT, silent.read(&mut [0])).await.expect("closed in time");
    assert!(!matches!(closed, Ok(1)));
}

#[tokio::test]
async fn an_unknown_call_is_an_error_in_json() {
    let (_zk, http) = start(ZkMini::builder()).await;
    for path in ["/v1/statuses", "/v1", "/v1/"] {
        let message = http.get(path).await.error(404);
        assert!(
            message.contains(&format!("no call {path};")) && message.contains("/v1/openapi.json"),
            "{message}"
        );
    }
    let refused = http.delete("/v1/status").await;
    assert_eq!(refused.header("allow"), Some("GET,HEAD"));
    assert!(refused.error(405).contains("DELETE"));
}

#[tokio::test]
async fn a_port_of_its_own_ends_with_the_server() {
    let zk = ZkMini::builder().in_memory().start().await.unwrap();
    let addr: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
    let addr = Http::new(Settings::default()).listen(&zk, addr, &Face::Full).unwrap();
    Client { addr }.get("/v1/status").await.json(200);
    let mut kept = TcpStream::connect(addr).await.unwrap();
    zk.stop().await;
    let ended = tokio::time::timeout(LIMIT, kept.read(&mut [0])).await.expect("closed in time");
    assert!(!matches!(ended, Ok(1)));
}
