//! Records of a client about its calls.

use std::time::Duration;

use rpc_client::Client;

use crate::servers::{TestServer, client};

const CALLS: &str = "rpc_client_calls_total";
const ATTEMPTS: &str = "rpc_client_attempts_total";

fn sum(client: &Client, name: &str, labels: &[(&str, &str)]) -> u64 {
    client.metrics().snapshot().sum(name, labels)
}

#[tokio::test]
async fn calls_are_counted_by_method_and_code_and_attempts_by_instance() {
    let (a, b) = (TestServer::start("a").await, TestServer::start("b").await);
    let client = client([a.addr, b.addr]).connect().await.unwrap();
    for _ in 0..20 {
        client.call::<_, String>("who", &()).await.unwrap();
    }
    client.call::<_, ()>("missing", &()).await.unwrap_err();
    let labels = |method, code| [("service", "test"), ("method", method), ("code", code)];
    assert_eq!(sum(&client, CALLS, &labels("who", "OK")), 20);
    assert_eq!(sum(&client, CALLS, &labels("missing", "NOT_FOUND")), 1);
    let of = |server: &TestServer| sum(&client, ATTEMPTS, &[("server_address", &server.addr.to_string())]);
    assert!(of(&a) > 0 && of(&b) > 0 && of(&a) + of(&b) == 21);
    assert_eq!(sum(&client, ATTEMPTS, &[("server_instance", "a")]), of(&a));
    assert_eq!(sum(&client, "rpc_client_instances", &[]), 2);
    let durations = client.metrics().snapshot().distribution("rpc_client_call_duration_seconds", &[]);
    assert!(durations.count() == 21 && durations.percentile(50.0) > Duration::ZERO);
}

#[tokio::test]
async fn a_call_is_in_flight_until_its_end_and_a_dropped_one_is_cancelled() {
    let mut server = TestServer::start("a").await;
    let client = client([server.addr]).connect().await.unwrap();
    let hanging = tokio::spawn({
        let client = client.clone();
        async move { client.call::<_, ()>("hang", &()).await }
    });
    server.sees("started").await;
    assert_eq!(sum(&client, "rpc_client_in_flight", &[("method", "hang")]), 1);
    assert_eq!(sum(&client, "rpc_client_attempts_in_flight", &[("server_instance", "a")]), 1);
    hanging.abort();
    server.sees("dropped").await;
    assert_eq!(sum(&client, "rpc_client_in_flight", &[]), 0);
    assert_eq!(sum(&client, "rpc_client_attempts_in_flight", &[]), 0);
    assert_eq!(sum(&client, CALLS, &[("code", "CANCELLED")]), 1);
}

#[tokio::test]
async fn retries_are_counted() {
    let server = TestServer::start("a").await;
    let client = client([server.addr]).connect().await.unwrap();
    client.call::<_, ()>("unavailable", &()).idempotent().await.unwrap_err();
    assert_eq!(sum(&client, "rpc_client_retries_total", &[]), client.stats().retried);
    assert_eq!(client.stats().retried, 2);
    assert_eq!(sum(&client, ATTEMPTS, &[("code", "UNAVAILABLE")]), 3);
    assert_eq!(sum(&client, CALLS, &[("code", "UNAVAILABLE")]), 1);
}
