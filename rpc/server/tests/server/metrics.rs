//! Records of a server about its calls.

use std::time::Duration;

use rpc_server::{Code, Format, Limits};
use rpc_wire::{Budget, CallId, Frame};
use tokio::time::sleep;

use crate::peer::{PATIENCE, RawClient, Running, failed};
use crate::streams;

/// Waits until a sum has the value.
async fn reaches(server: &Running, name: &str, labels: &[(&str, &str)], value: u64) {
    let begun = tokio::time::Instant::now();
    while server.metrics.snapshot().sum(name, labels) != value {
        assert!(begun.elapsed() < PATIENCE, "{name} {labels:?}: {}", server.metrics.snapshot().to_text());
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn calls_are_counted_by_method_and_code() {
    let server = Running::start(Limits::default()).await;
    let mut client = RawClient::greeted(server.addr, Format::JSON).await;
    client.call(1, "echo", &"hello").await;
    client.call(2, "echo", &17).await;
    client.call(3, "panic_later", &()).await;
    client.call(4, "nothing", &()).await;
    client.call(5, "wait", &Some(20)).await;
    for (method, code) in [
        ("echo", "OK"),
        ("echo", "INVALID_ARGUMENT"),
        ("panic_later", "INTERNAL"),
        ("_OTHER", "UNIMPLEMENTED"),
        ("wait", "OK"),
    ] {
        let labels = [("service", "test"), ("method", method), ("code", code)];
        reaches(&server, "rpc_server_calls_total", &labels, 1).await;
    }
    let snapshot = server.metrics.snapshot();
    assert_eq!(snapshot.sum("rpc_server_calls_total", &[]), 5);
    let waited = snapshot.distribution("rpc_server_call_duration_seconds", &[("method", "wait")]);
    assert!(waited.mean() >= Duration::from_millis(20), "{waited:?}");
    assert!(snapshot.sum("rpc_server_received_bytes_total", &[]) > 100);
    assert!(snapshot.sum("rpc_server_sent_bytes_total", &[]) > 100);
}

#[tokio::test]
async fn a_call_is_in_flight_until_it_is_cancelled_or_late() {
    let mut server = Running::start(Limits::default()).await;
    let mut client = RawClient::greeted(server.addr, Format::JSON).await;
    client.request(1, "wait", &None::<u64>);
    client.request_within(2, "wait", &None::<u64>, Some(Duration::from_millis(30)));
    client.send().await;
    server.sees("started").await;
    server.sees("started").await;
    let of_wait = |code| [("method", "wait"), ("code", code)];
    reaches(&server, "rpc_server_calls_total", &of_wait("DEADLINE_EXCEEDED"), 1).await;
    reaches(&server, "rpc_server_in_flight", &[("method", "wait")], 1).await;
    reaches(&server, "rpc_server_connections", &[], 1).await;
    drop(client);
    reaches(&server, "rpc_server_calls_total", &of_wait("CANCELLED"), 1).await;
    reaches(&server, "rpc_server_in_flight", &[], 0).await;
    reaches(&server, "rpc_server_connections", &[], 0).await;
    assert_eq!(server.metrics.snapshot().sum("rpc_server_accepted_connections_total", &[]), 1);
}

#[tokio::test]
async fn a_call_that_gets_a_message_too_many_is_counted_as_it_is_answered() {
    let server = Running::serve(Limits::default(), streams::service).await;
    let mut client = RawClient::greeted_with(server.addr, Budget::default()).await;
    client.open(1, "deaf", "");
    client.push(&Frame::End(CallId(1)));
    client.message(1, "1");
    client.send().await;
    assert_eq!(client.answer().await, failed(1, Code::INVALID_ARGUMENT));
    let labels = [("method", "deaf"), ("code", "INVALID_ARGUMENT")];
    reaches(&server, "rpc_server_calls_total", &labels, 1).await;
}

#[tokio::test]
async fn refused_calls_and_connections_are_counted_by_reason() {
    let mut limits = Limits::default();
    (limits.in_flight_per_connection, limits.connections) = (1, 1);
    let server = Running::start(limits).await;
    let mut client = RawClient::greeted(server.addr, Format::JSON).await;
    client.request(1, "wait", &None::<u64>);
    client.request(2, "echo", &"");
    client.send().await;
    client.answer().await;
    let mut other = RawClient::connect(server.addr).await;
    other.answer().await;
    let snapshot = server.metrics.snapshot();
    assert_eq!(snapshot.sum("rpc_server_refused_calls_total", &[("reason", "connection")]), 1);
    assert_eq!(snapshot.sum("rpc_server_refused_calls_total", &[]), 1);
    assert_eq!(snapshot.sum("rpc_server_refused_connections_total", &[]), 1);
}
