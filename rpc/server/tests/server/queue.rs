//! Calls that wait at a limit on calls in flight.

use std::sync::Arc;
use std::time::Duration;

use rpc_server::{Code, Context, Format, Limits, Status};
use rpc_wire::{Budget, CallId, Frame};
use tokio::sync::Notify;

use crate::peer::{Answer, PATIENCE, RawClient, Running, limits, ok, refused, service};
use crate::streams;

/// Returns limits for one call in flight, and so many that wait for as long as it takes.
fn one_at_a_time(queue: usize) -> Limits {
    limits(|limits| {
        (limits.in_flight, limits.in_flight_per_peer) = (1, Some(1));
        (limits.queue, limits.queue_timeout) = (queue, 3 * PATIENCE);
    })
}

/// Starts a server whose only place is taken by call 1.
async fn busy(limits: Limits) -> (Running, RawClient) {
    let mut server = Running::start(limits).await;
    let mut client = RawClient::greeted(server.addr, Format::JSON).await;
    client.request(1, "wait", &None::<u64>);
    client.send().await;
    server.sees("started").await;
    (server, client)
}

#[tokio::test]
async fn calls_over_the_limit_run_one_after_the_other_when_there_is_a_place() {
    let (_server, mut client) = busy(one_at_a_time(8)).await;
    for id in 2..=5 {
        client.request(id, "echo", &id.to_string());
    }
    client.push(&Frame::Ping(9));
    client.send().await;
    assert_eq!(client.answer().await, Answer::Pong(9));
    client.push(&Frame::Cancel(CallId(1)));
    client.send().await;
    for id in 2..=5 {
        assert_eq!(client.answer().await, ok(id, format!("\"{id}\"").as_bytes()));
    }
}

#[tokio::test]
async fn a_call_that_has_waited_for_too_long_is_refused_and_was_not_run() {
    let mut limits = one_at_a_time(8);
    limits.queue_timeout = Duration::from_millis(20);
    let (server, mut client) = busy(limits).await;
    assert_eq!(client.call(2, "echo", &"late").await, refused(2, Code::RESOURCE_EXHAUSTED));
    let text = server.metrics.snapshot().to_text();
    assert!(text.contains("overload\"} 1"), "{text}");
}

#[tokio::test]
async fn a_call_waits_no_longer_than_its_deadline_allows_and_hears_that_it_was_not_run() {
    let (_server, mut client) = busy(one_at_a_time(8)).await;
    client.request_within(2, "echo", &"late", Some(Duration::from_millis(50)));
    client.send().await;
    assert_eq!(client.answer().await, refused(2, Code::RESOURCE_EXHAUSTED));
}

#[tokio::test]
async fn a_call_whose_time_is_over_when_a_late_runtime_has_a_place_for_it_was_not_run() {
    const TIME: Duration = Duration::from_millis(500);
    let may_end = Arc::new(Notify::new());
    let told = Arc::clone(&may_end);
    let hold_up = move |(): (), _: Context| {
        let told = Arc::clone(&told);
        async move {
            told.notified().await;
            std::thread::sleep(2 * TIME);
            Ok::<_, Status>(())
        }
    };
    let of_test = |tell| service(tell).method("hold_up", hold_up).build();
    let server = Running::serve(one_at_a_time(8), of_test).await;
    let mut client = RawClient::greeted(server.addr, Format::JSON).await;
    client.request(1, "hold_up", &());
    client.request_within(2, "echo", &"late", Some(TIME));
    client.push(&Frame::Ping(9));
    client.send().await;
    assert_eq!(client.answer().await, Answer::Pong(9));
    may_end.notify_one();
    assert_eq!(client.answer().await, ok(1, b"null"));
    assert_eq!(client.answer().await, refused(2, Code::RESOURCE_EXHAUSTED));
}

#[tokio::test]
async fn calls_that_find_no_room_in_the_queue_are_refused_at_once() {
    // One peer has three quarters of the four places.
    let (_server, mut client) = busy(one_at_a_time(4)).await;
    for id in 2..=5 {
        client.request(id, "echo", &id.to_string());
    }
    client.send().await;
    assert_eq!(client.answer().await, refused(5, Code::RESOURCE_EXHAUSTED));
    client.push(&Frame::Cancel(CallId(2)));
    client.push(&Frame::Ping(9));
    client.send().await;
    assert_eq!(client.answer().await, Answer::Pong(9));
    client.request(6, "echo", &"6");
    client.push(&Frame::Cancel(CallId(1)));
    client.send().await;
    for id in [3, 4, 6] {
        assert_eq!(client.answer().await, ok(id, format!("\"{id}\"").as_bytes()));
    }
}

#[tokio::test]
async fn arguments_of_waiting_calls_count() {
    let mut limits = one_at_a_time(8);
    limits.argument_bytes = 100;
    let (_server, mut client) = busy(limits).await;
    client.request(2, "echo", &"x".repeat(70));
    client.request(3, "echo", &"x".repeat(70));
    client.send().await;
    assert_eq!(client.answer().await, refused(3, Code::RESOURCE_EXHAUSTED));
}

#[tokio::test]
async fn a_drain_runs_the_calls_that_wait() {
    let (server, mut client) = busy(one_at_a_time(8)).await;
    client.request(2, "echo", &"patient");
    client.push(&Frame::Ping(9));
    client.send().await;
    assert_eq!(client.answer().await, Answer::Pong(9));
    let stopped = server.stop();
    assert!(matches!(client.answer().await, Answer::GoAway(..)));
    client.push(&Frame::Cancel(CallId(1)));
    client.send().await;
    assert_eq!(client.answer().await, ok(2, b"\"patient\""));
    drop(client);
    assert_eq!(stopped.await.unwrap().cut, 0);
}

#[tokio::test]
async fn streams_wait_too_and_messages_that_come_meanwhile_are_kept() {
    let mut server = Running::serve(one_at_a_time(8), streams::service).await;
    let mut client = RawClient::greeted_with(server.addr, Budget::default()).await;
    client.open(1, "watch", "null");
    client.send().await;
    server.sees("started").await;
    client.open(2, "sum", "");
    client.message(2, "20");
    client.message(2, "22");
    client.push(&Frame::End(CallId(2)));
    client.open(3, "double", "");
    client.message(3, "4");
    client.push(&Frame::Cancel(CallId(1)));
    client.send().await;
    assert_eq!(client.answer().await, ok(2, b"42"));
    assert_eq!(client.answer().await, streams::message(3, "8"));
}

#[tokio::test]
async fn a_stream_that_has_waited_for_too_long_is_refused() {
    let mut limits = one_at_a_time(8);
    limits.queue_timeout = Duration::from_millis(20);
    let mut server = Running::serve(limits, streams::service).await;
    let mut client = RawClient::greeted_with(server.addr, Budget::default()).await;
    client.open(1, "watch", "null");
    client.send().await;
    server.sees("started").await;
    for (id, method, argument) in [(2, "count", "4"), (3, "sum", ""), (4, "double", "")] {
        client.open(id, method, argument);
        client.send().await;
        assert_eq!(client.answer().await, refused(id, Code::RESOURCE_EXHAUSTED));
    }
}
