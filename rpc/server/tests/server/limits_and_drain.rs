//! Hostile and greedy clients, and the drain.

use std::time::Duration;

use rpc_server::{Code, Format, Limits};
use rpc_wire::{Budget, CallId, Frame, Hello};
use tokio::time::timeout;

use crate::peer::{Answer, PATIENCE, RawClient, Running, failed, limits, ok, refused};
use crate::streams;

/// Returns the server's answer to these bytes before it closes. Checks that another connection is not disturbed.
async fn turned_away(bytes: &[u8]) -> Answer {
    let server = Running::start(limits(|limits| limits.max_frame = 4096)).await;
    let mut bystander = RawClient::greeted(server.addr, Format::JSON).await;
    let mut client = RawClient::connect(server.addr).await;
    client.out.extend_from_slice(bytes);
    client.send().await;
    let mut answer = client.answer().await;
    if matches!(answer, Answer::Hello(_)) {
        answer = client.answer().await;
    }
    assert_eq!(client.answer().await, Answer::Closed);
    assert_eq!(bystander.call(1, "echo", &"calm").await, ok(1, b"\"calm\""));
    answer
}

fn hello(change: impl FnOnce(&mut Hello<'_>)) -> Vec<u8> {
    let mut hello = Hello {
        version: 1,
        format: Format::JSON,
        max_frame: 4096,
        service: "",
        instance: "",
        budget: Some(Budget::default()),
    };
    change(&mut hello);
    let mut out = Vec::new();
    Frame::Hello(hello).encode(&mut out, 4096).unwrap();
    out
}

#[tokio::test]
async fn an_unacceptable_hello_is_refused_with_a_reason() {
    let away = |code| Answer::GoAway(CallId(0), code);
    assert_eq!(turned_away(&hello(|h| h.version = 0)).await, away(Code::FAILED_PRECONDITION));
    assert_eq!(turned_away(&hello(|h| h.format = Format(9))).await, away(Code::FAILED_PRECONDITION));
    assert_eq!(turned_away(&hello(|h| h.max_frame = 10)).await, away(Code::FAILED_PRECONDITION));
    assert_eq!(turned_away(&hello(|h| h.service = "other")).await, away(Code::NOT_FOUND));
}

#[tokio::test]
async fn a_format_outside_of_the_limits_is_refused_with_a_reason() {
    let server = Running::start(limits(|limits| limits.formats = vec![Format::JSON])).await;
    let mut compact = RawClient::connect(server.addr).await;
    compact.format = Format::POSTCARD;
    assert_eq!(compact.greet().await, Answer::GoAway(CallId(0), Code::FAILED_PRECONDITION));
    let mut json = RawClient::greeted(server.addr, Format::JSON).await;
    assert_eq!(json.call(1, "echo", &"hello").await, ok(1, b"\"hello\""));
}

#[tokio::test]
async fn bytes_of_another_protocol_end_only_their_connection() {
    let away = |last| Answer::GoAway(CallId(last), Code::INVALID_ARGUMENT);
    assert_eq!(turned_away(b"GET / HTTP/1.1\r\n\r\n").await, away(0));
    assert_eq!(turned_away(&[0, 0, 0, 0]).await, away(0));
    assert_eq!(turned_away(&[0, 0, 0, 10, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0]).await, away(0));
    let after_hello = |bytes: &[u8]| [&hello(|_| ())[..], bytes].concat();
    assert_eq!(turned_away(&after_hello(&[0, 0, 0x10, 1])).await, away(0));
    assert_eq!(turned_away(&after_hello(&[0, 0, 0, 10, 0x7f, 0, 0, 0, 0, 0, 0, 0, 0, 0])).await, away(0));
    assert_eq!(turned_away(&after_hello(&hello(|_| ()))).await, away(0));
}

#[tokio::test]
async fn a_stranger_cannot_announce_a_large_first_frame() {
    let server = Running::start(Limits::default()).await;
    let mut client = RawClient::connect(server.addr).await;
    client.out.extend_from_slice(&4097_u32.to_be_bytes());
    client.send().await;
    assert_eq!(client.answer().await, Answer::GoAway(CallId(0), Code::INVALID_ARGUMENT));
}

#[tokio::test]
async fn an_id_used_twice_ends_the_connection() {
    let server = Running::start(Limits::default()).await;
    let mut client = RawClient::greeted(server.addr, Format::JSON).await;
    assert_eq!(client.call(7, "echo", &"a").await, ok(7, b"\"a\""));
    assert_eq!(client.call(7, "echo", &"b").await, Answer::GoAway(CallId(7), Code::INVALID_ARGUMENT));
    assert_eq!(client.answer().await, Answer::Closed);
}

#[tokio::test]
async fn a_client_without_a_hello_is_refused() {
    let server = Running::start(limits(|limits| limits.hello_timeout = Duration::from_millis(20))).await;
    let mut client = RawClient::connect(server.addr).await;
    assert_eq!(client.answer().await, Answer::GoAway(CallId(0), Code::DEADLINE_EXCEEDED));
}

#[tokio::test]
async fn one_connection_too_many_is_refused_and_a_closed_one_makes_room() {
    let server = Running::start(limits(|limits| limits.connections = 1)).await;
    let first = RawClient::greeted(server.addr, Format::JSON).await;
    let mut second = RawClient::connect(server.addr).await;
    assert_eq!(second.answer().await, Answer::GoAway(CallId(0), Code::RESOURCE_EXHAUSTED));
    drop(first);
    let again = async {
        loop {
            let mut client = RawClient::connect(server.addr).await;
            client.hello(1, Format::JSON, "");
            client.send().await;
            if matches!(client.answer().await, Answer::Hello(_)) {
                break;
            }
        }
    };
    timeout(PATIENCE, again).await.unwrap();
}

#[tokio::test]
async fn calls_over_a_limit_are_refused_at_once_and_not_run() {
    for limits in
        [limits(|limits| limits.in_flight_per_connection = 2), limits(|limits| limits.in_flight = 2)]
    {
        let mut server = Running::start(limits).await;
        let mut client = RawClient::greeted(server.addr, Format::JSON).await;
        client.request(1, "wait", &());
        client.request(2, "wait", &());
        client.request(3, "echo", &"one too many");
        client.send().await;
        assert_eq!(client.answer().await, refused(3, Code::RESOURCE_EXHAUSTED));
        client.push(&Frame::Cancel(CallId(1)));
        client.send().await;
        for event in ["started", "started", "dropped"] {
            server.sees(event).await;
        }
        assert_eq!(client.call(4, "echo", &"room").await, ok(4, b"\"room\""));
    }
}

#[tokio::test]
async fn open_streams_leave_an_adaptive_limit_to_unary_calls() {
    let limits = limits(|limits| limits.adaptive = true);
    let mut server = Running::serve(limits, streams::service).await;
    let mut client = RawClient::greeted_with(server.addr, Budget::default()).await;
    for id in 1..=40 {
        client.open(id, "watch", "null");
    }
    for id in 41..=80 {
        client.open(id, "deaf", "");
    }
    client.send().await;
    for _ in 1..=80 {
        server.sees("started").await;
    }
    assert_eq!(client.call(81, "echo", &"room").await, ok(81, b"\"room\""));
}

#[tokio::test]
async fn a_drain_finishes_running_calls_and_refuses_later_ones() {
    let mut server = Running::start(Limits::default()).await;
    let addr = server.addr;
    let mut client = RawClient::greeted(addr, Format::JSON).await;
    let mut idle = RawClient::greeted(addr, Format::JSON).await;
    client.request(1, "wait", &Some(100));
    client.send().await;
    server.sees("started").await;
    let drained = server.stop();
    assert_eq!(client.answer().await, Answer::GoAway(CallId(1), Code::UNAVAILABLE));
    assert_eq!(idle.answer().await, Answer::GoAway(CallId(0), Code::UNAVAILABLE));
    assert_eq!(idle.answer().await, Answer::Closed);
    assert_eq!(client.call(2, "echo", &"late").await, refused(2, Code::UNAVAILABLE));
    assert_eq!(client.answer().await, ok(1, b"\"waited\""));
    assert_eq!(client.answer().await, Answer::Closed);
    drop((client, idle));
    assert_eq!(timeout(PATIENCE, drained).await.unwrap().unwrap().cut, 0);
    assert!(tokio::net::TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn a_drain_ends_after_its_timeout() {
    let mut server = Running::start(limits(|limits| limits.drain_timeout = Duration::from_millis(50))).await;
    let mut client = RawClient::greeted(server.addr, Format::JSON).await;
    client.request(1, "wait", &());
    client.send().await;
    server.sees("started").await;
    assert_eq!(timeout(PATIENCE, server.stop()).await.unwrap().unwrap().cut, 1);
    assert!(matches!(client.answer().await, Answer::GoAway(..)));
    assert_eq!(client.answer().await, Answer::Closed);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_disconnected() {
    let mut server = Running::start(limits(|limits| limits.write_timeout = Duration::from_millis(50))).await;
    let mut client = RawClient::greeted(server.addr, Format::JSON).await;
    client.request(1, "wait", &());
    for id in 2..60 {
        client.request(id, "fill", &1_000_000);
    }
    client.send().await;
    server.sees("started").await;
    server.sees("dropped").await;
    let mut other = RawClient::greeted(server.addr, Format::JSON).await;
    assert_eq!(other.call(1, "nothing", &()).await, failed(1, Code::UNIMPLEMENTED));
}
