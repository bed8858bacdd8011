//! Peers that do not behave: others are served all the while, and nothing grows.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use zk_mini::ZkMini;
use zk_mini_http::{Http, Settings};

use crate::support::{Client, LIMIT};

async fn start(settings: Settings) -> (ZkMini, Client) {
    let zk = Http::new(settings).share_port(ZkMini::builder()).start().await.unwrap();
    let addr = zk.addr().unwrap();
    (zk, Client { addr })
}

async fn open(http: &Client, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(http.addr).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

/// Waits until the server closes the connection, and returns what it sent.
async fn closed(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    // A connection that is closed with unread bytes is reset.
    let _ = tokio::time::timeout(LIMIT, stream.read_to_end(&mut answer)).await.expect("closed in time");
    String::from_utf8_lossy(&answer).into_owned()
}

/// A ZooKeeper client and an HTTP client are served.
async fn is_well(zk: &ZkMini, http: &Client) {
    let before = Instant::now();
    let mut ruok = open(http, b"ruok").await;
    let mut answer = String::new();
    tokio::time::timeout(LIMIT, ruok.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert_eq!(answer, "imok");
    http.get("/v1/status").await.json(200);
    assert!(before.elapsed() < LIMIT / 2, "{:?}", before.elapsed());
    zk.wait_for(|zk| zk.connections().is_empty(), LIMIT).await.unwrap();
}

fn head(http: &Client, start: &str) -> String {
    format!("{start} HTTP/1.1\r\nhost: {}\r\n", http.addr)
}

#[tokio::test]
async fn a_slow_head_has_bounded_time() {
    let (zk, http) = start(Settings::default().head_time(Duration::from_millis(300))).await;
    let before = Instant::now();
    let mut slow = open(&http, head(&http, "GET /v1/status").as_bytes()).await;
    let kept = open(&http, (head(&http, "GET /v1/status") + "\r\n").as_bytes()).await;
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let is_closed = async {
        // A header a tick: it never ends.
        loop {
            ticks.tick().await;
            if slow.write_all(b"x: y\r\n").await.is_err() {
                break;
            }
        }
    };
    tokio::time::timeout(LIMIT, is_closed).await.unwrap();
    assert!(before.elapsed() >= Duration::from_millis(300));
    assert!(
        closed(kept).await.starts_with("HTTP/1.1 200"),
        "one that waits for the next request has it as well"
    );
    is_well(&zk, &http).await;
}

#[tokio::test]
async fn a_slow_body_is_told_so() {
    let (zk, http) = start(Settings::default().body_time(Duration::from_millis(200))).await;
    for path in ["PUT /v1/nodes/slow", "POST /v1/restore"] {
        let start =
            head(&http, path) + "content-type: application/octet-stream\r\ncontent-length: 10\r\n\r\n12345";
        let answer = closed(open(&http, start.as_bytes()).await).await;
        assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("\"timeout\""), "{answer}");
    }
    is_well(&zk, &http).await;
}

#[tokio::test]
async fn garbage_behind_a_method_is_refused() {
    let (zk, http) = start(Settings::default()).await;
    for garbage in [
        &b"GET \0\0\0\0\0\0\r\n\r\n"[..],
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST\xff\xfe\xfd / HTTP/1.1\r\n\r\n",
        b"GET /v1/status HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /v1/status HTTP/1.1\r\nhost: \0\r\n\r\n",
        b"GET http:// HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"PUT /v1/nodes/a HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n",
        b"PUT /v1/nodes/a HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
    ] {
        let answer = closed(open(&http, garbage).await).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{}: {answer}", garbage.escape_ascii());
    }
    let mut random = vec![0; 100_000];
    random[..5].copy_from_slice(b"GET /");
    let refused = closed(open(&http, &random).await).await;
    assert!(refused.is_empty() || refused.starts_with("HTTP/1.1 4"), "{refused}");
    assert!(zk.get("/a").is_none());
    is_well(&zk, &http).await;
}

#[tokio::test]
async fn a_request_with_two_lengths_is_no_request() {
    let (zk, http) = start(Settings::default()).await;
    // Whatever a proxy before the server takes for the length: no second request hides in the first one.
    for lengths in [
        "content-length: 4\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 4\r\n",
        "transfer-encoding: identity\r\n",
        "transfer-encoding: xchunked\r\n",
        "transfer-encoding: chunked, identity\r\n",
        "content-length: 4, 5\r\n",
        "content-length: +4\r\n",
    ] {
        let hidden = "0\r\n\r\nPUT /v1/nodes/hidden HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n";
        let request = head(&http, "PUT /v1/nodes/seen") + lengths + "\r\n" + hidden;
        let answer = closed(open(&http, request.as_bytes()).await).await;
        let answers = answer.matches("HTTP/1.1 ").count();
        assert!(answers <= 1, "{lengths}: {answer}");
        assert!(zk.get("/hidden").is_none(), "{lengths}");
    }
    is_well(&zk, &http).await;
}

#[tokio::test]
async fn a_head_or_a_body_without_an_end_is_cut_off() {
    let (zk, http) = start(Settings::default()).await;
    let mut stream = open(&http, head(&http, "GET /v1/status").as_bytes()).await;
    let line = format!("x: {}\r\n", "y".repeat(1_000));
    let mut sent = 0;
    while stream.write_all(line.as_bytes()).await.is_ok() {
        sent += line.len();
        assert!(sent < 64 << 20, "the server reads heads without an end");
    }
    for start in ["POST /v1/clock", "POST /v1/nothing"] {
        let start =
            head(&http, start) + "content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
        let mut stream = open(&http, start.as_bytes()).await;
        let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
        let mut sent = 0;
        while stream.write_all(chunk.as_bytes()).await.is_ok() {
            sent += chunk.len();
            assert!(sent < 64 << 20, "the server reads bodies without an end");
        }
    }
    is_well(&zk, &http).await;
}

#[tokio::test]
async fn hundreds_of_idle_connections_keep_nobody_out() {
    // Until its first bytes have been read, a connection counts as one of ZooKeeper's.
    let builder = ZkMini::builder().max_client_connections(0);
    let zk = Http::new(Settings::default().max_connections(50)).share_port(builder).start().await.unwrap();
    let http = Client { addr: zk.addr().unwrap() };
    let mut idle = Vec::new();
    for n in 0..500 {
        // Half of them have sent a part of a request.
        idle.push(open(&http, if n % 2 == 0 { b"GET " } else { b"GET /v1/status HTTP/1.1\r\nho" }).await);
    }
    for _ in 0..5 {
        is_well(&zk, &http).await;
    }
    let few_are_open = async {
        while open_ones(&mut idle).await > 50 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LIMIT, few_are_open).await.expect("room was made");
    is_well(&zk, &http).await;
}

/// Returns the number of connections that the server has not closed.
async fn open_ones(streams: &mut [TcpStream]) -> usize {
    let mut open = 0;
    for stream in streams {
        let mut byte = [0];
        let read = stream.read(&mut byte);
        open += usize::from(tokio::time::timeout(Duration::ZERO, read).await.is_err());
    }
    open
}

#[tokio::test]
async fn busy_connections_are_bounded_and_one_more_is_told_so() {
    let (zk, http) = start(Settings::default().max_connections(3)).await;
    // The head has arrived, the body has not.
    let request = head(&http, "PUT /v1/nodes/busy") + "content-length: 4\r\nexpect: 100-continue\r\n\r\n";
    let mut busy = Vec::new();
    for _ in 0..3 {
        let mut stream = open(&http, request.as_bytes()).await;
        let mut answer = [0; 25];
        stream.read_exact(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 100 Continue"));
        busy.push(stream);
    }
    let message = http.get("/v1/status").await.error(503);
    assert!(message.contains("connections"), "{message}");
    let mut first = busy.remove(0);
    first.write_all(b"done").await.unwrap();
    let mut answer = [0; 12];
    first.read_exact(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 201"));
    is_well(&zk, &http).await;
}

#[tokio::test]
async fn few_snapshots_are_taken_in_at_a_time() {
    let (zk, http) = start(Settings::default()).await;
    let file = http.get("/v1/snapshot").await.body;
    let request = head(&http, "POST /v1/restore")
        + "content-type: application/octet-stream\r\nexpect: 100-continue\r\nconnection: close\r\n"
        + &format!("content-length: {}\r\n\r\n", file.len());
    let continues = async |stream: &mut TcpStream| {
        let mut answer = [0; 25];
        tokio::time::timeout(LIMIT, stream.read_exact(&mut answer)).await.unwrap().unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 100 Continue"));
    };
    let mut sent = [open(&http, request.as_bytes()).await, open(&http, request.as_bytes()).await];
    for stream in &mut sent {
        continues(stream).await;
    }
    let mut third = open(&http, request.as_bytes()).await;
    is_well(&zk, &http).await;
    assert!(
        tokio::time::timeout(Duration::ZERO, third.readable()).await.is_err(),
        "its body is not read yet"
    );
    let [first, second] = sent;
    drop(first);
    continues(&mut third).await;
    for mut stream in [second, third] {
        stream.write_all(&file).await.unwrap();
        assert!(closed(stream).await.starts_with("HTTP/1.1 200 "));
    }
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_dropped() {
    let (zk, http) = start(Settings::default().write_time(Duration::from_millis(300))).await;
    zk.create("/large", vec![b'x'; 1 << 20]).await.unwrap();
    let request = head(&http, "GET /v1/tree?path=/large&depth=0") + "\r\n";
    // More answers than the buffers of both sides hold.
    let mut deaf = open(&http, request.repeat(100).as_bytes()).await;
    deaf.readable().await.unwrap();
    is_well(&zk, &http).await;
    let is_dropped = async { while deaf.write_all(request.as_bytes()).await.is_ok() {} };
    tokio::time::timeout(LIMIT, is_dropped).await.expect("dropped");
    is_well(&zk, &http).await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let (_zk, http) = start(Settings::default()).await;
    let one = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", http.addr);
    let last = head(&http, "GET /v1/c") + "connection: close\r\n\r\n";
    let answer = closed(open(&http, (one("/v1/a") + &one("/v1/b") + &last).as_bytes()).await).await;
    let places = ["call /v1/a;", "call /v1/b;", "call /v1/c;"].map(|path| answer.find(path).expect(&answer));
    assert!(places.is_sorted(), "{answer}");
}

#[tokio::test]
async fn requests_that_are_broken_off_harm_nobody() {
    let (zk, http) = start(Settings::default()).await;
    let whole = head(&http, "PUT /v1/nodes/half") + "content-length: 5\r\n\r\nhello";
    for len in (4..whole.len()).step_by(7) {
        drop(open(&http, &whole.as_bytes()[..len]).await);
    }
    is_well(&zk, &http).await;
    assert!(zk.get("/half").is_none(), "half a body writes nothing");
}

#[tokio::test]
async fn connections_end_with_a_server_that_is_dropped() {
    let (zk, http) = start(Settings::default()).await;
    let mut kept = open(&http, (head(&http, "GET /v1/status") + "\r\n").as_bytes()).await;
    kept.read_exact(&mut [0; 12]).await.unwrap();
    let half = open(&http, b"GET /v1").await;
    drop(zk);
    closed(kept).await;
    closed(half).await;
}

#[tokio::test]
async fn a_body_of_unknown_length_that_is_too_long_is_refused_in_our_words() {
    let (_zk, http) = start(Settings::default()).await;
    let head = format!(
        "POST /v1/faults HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n",
        http.addr
    );
    let length = (1 << 20) + 1;
    let chunk = format!("{length:x}\r\n{}\r\n0\r\n\r\n", " ".repeat(length));
    let message = http.raw((head + &chunk).as_bytes()).await.error(413);
    assert_eq!(message, "the body is too long; 1048576 bytes are allowed");
}
