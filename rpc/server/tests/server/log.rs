//! Logs that cannot be written, and peers that write into them.

use std::fmt::{self, Write};
use std::sync::{Arc, Mutex};

use rpc_server::{Code, Format};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::yield_now;
use tokio::time::timeout;
use tracing::field::{Field, Visit};
use tracing::subscriber::set_default;
use tracing::{Event, Metadata, Subscriber, span};

use crate::peer::{Answer, PATIENCE, RawClient, Running, limits, ok};

/// Subscriber that calls a function with each line of the log.
struct Log<F>(F);

impl<F: Fn(String) + 'static> Subscriber for Log<F>
where
    F: Send + Sync,
{
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("rpc_server")
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        (self.0)(line.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}

/// Connects a client that asks for another service and is refused with a line in the log.
async fn is_refused(server: &Running, service: &str) {
    let mut client = RawClient::connect(server.addr).await;
    client.hello(1, Format::JSON, service);
    client.send().await;
    assert!(matches!(client.answer().await, Answer::GoAway(_, Code::NOT_FOUND)));
    assert_eq!(client.answer().await, Answer::Closed);
}

#[tokio::test]
async fn a_log_that_cannot_be_written_ends_neither_the_server_nor_a_connection() {
    let _guard = set_default(Log(|line| panic!("failed printing to stderr: {line}")));
    let server = Running::start(limits(|limits| limits.connections = 2)).await;
    let mut bystander = RawClient::greeted(server.addr, Format::JSON).await;
    is_refused(&server, "other").await;
    // Three more lines: a lost connection, one connection too many, bytes of another protocol.
    let mut second = RawClient::greeted(server.addr, Format::JSON).await;
    let mut third = RawClient::connect(server.addr).await;
    assert!(matches!(third.answer().await, Answer::GoAway(_, Code::RESOURCE_EXHAUSTED)));
    second.out.extend_from_slice(&[0xff; 14]);
    second.send().await;
    assert!(matches!(second.answer().await, Answer::GoAway(_, Code::INVALID_ARGUMENT)));
    drop(second);
    assert_eq!(bystander.call(1, "echo", &"calm").await, ok(1, b"\"calm\""));
    while !matches!(RawClient::connect(server.addr).await.greet().await, Answer::Hello(_)) {}
    assert_eq!(server.stop().await.unwrap().cut, 0);
}

#[tokio::test]
async fn a_client_with_tls_is_named_at_a_port_without_it() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let told = lines.clone();
    let _guard = set_default(Log(move |line| told.lock().unwrap().push(line)));
    let server = Running::start(limits(|_| ())).await;
    let mut client = TcpStream::connect(server.addr).await.unwrap();
    // The beginning of a client's hello in TLS 1.3.
    client.write_all(&[0x16, 3, 1, 0, 0xf8, 1, 0, 0, 0xf4, 3, 3]).await.unwrap();
    let _ = client.read_to_end(&mut Vec::new()).await;
    let why = "the client speaks TLS, and this port does not";
    let is_told = async {
        while !lines.lock().unwrap().iter().any(|line| line.contains(why)) {
            yield_now().await;
        }
    };
    timeout(PATIENCE, is_told).await.unwrap();
}

#[tokio::test]
async fn a_peer_can_neither_forge_lines_nor_fill_the_log() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let told = lines.clone();
    let _guard = set_default(Log(move |line| told.lock().unwrap().push(line)));
    let server = Running::start(limits(|_| ())).await;
    let evil = format!("x\n2026-01-01 ERROR forged\u{1b}[2J{}", "y".repeat(220));
    for _ in 0..30 {
        is_refused(&server, &evil).await;
    }
    let lines = lines.lock().unwrap();
    let about: Vec<_> = lines.iter().filter(|line| line.contains("forged")).collect();
    assert_eq!(about.len(), 10, "{about:?}");
    for line in about {
        assert!(line.len() < 500 && !line.contains(['\n', '\u{1b}']), "{line:?}");
    }
}
