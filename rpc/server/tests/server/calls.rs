//! Calls as a client sees them, byte by byte.

use std::fmt;
use std::future::Ready;
use std::time::Duration;

use rpc_server::{Code, Context, Format, Limits, Service, Status};
use rpc_wire::{CallId, Frame, Request};
use tokio::sync::mpsc::UnboundedSender;

use crate::peer::{Answer, MAX, RawClient, Running, failed, ok, refused, service};

#[tokio::test]
async fn a_call_is_answered_in_both_formats() {
    let server = Running::start(Limits::default()).await;
    let mut json = RawClient::greeted(server.addr, Format::JSON).await;
    let mut compact = RawClient::greeted(server.addr, Format::POSTCARD).await;
    assert_eq!(json.call(1, "echo", &"hello").await, ok(1, b"\"hello\""));
    assert_eq!(compact.call(1, "echo", &"hello").await, ok(1, b"\x05hello"));
}

#[tokio::test]
async fn requests_may_come_in_one_write_with_the_hello() {
    let server = Running::start(Limits::default()).await;
    let mut client = RawClient::connect(server.addr).await;
    client.hello(1, Format::JSON, "");
    for id in 1..=500 {
        client.request(id, "echo", &id.to_string());
    }
    client.send().await;
    assert_eq!(client.answer().await, Answer::Hello("me".into()));
    for id in 1..=500 {
        assert_eq!(client.answer().await, ok(id, format!("\"{id}\"").as_bytes()));
    }
}

#[tokio::test]
async fn a_slow_call_does_not_hold_up_a_later_one() {
    let mut server = Running::start(Limits::default()).await;
    let mut client = RawClient::greeted(server.addr, Format::JSON).await;
    client.request(1, "wait", &Some(50));
    client.request(2, "echo", &"quick");
    client.send().await;
    assert_eq!(client.answer().await, ok(2, b"\"quick\""));
    assert_eq!(client.answer().await, ok(1, b"\"waited\""));
    server.sees("started").await;
}

#[tokio::test]
async fn failures_have_their_codes() {
    let server = Running::start(Limits::default()).await;
    let mut client = RawClient::greeted(server.addr, Format::JSON).await;
    assert_eq!(client.call(1, "nothing", &()).await, failed(1, Code::UNIMPLEMENTED));
    assert_eq!(client.call(2, "echo", &17).await, failed(2, Code::INVALID_ARGUMENT));
    assert_eq!(client.call(3, "missing", &()).await, failed(3, Code::NOT_FOUND));
    assert_eq!(client.call(4, "fill", &(MAX + 1)).await, failed(4, Code::RESOURCE_EXHAUSTED));
    let stream = Request { method: "echo", more: true, ..Request::new(CallId(5)) };
    client.push(&Frame::Request(stream));
    client.send().await;
    assert_eq!(client.answer().await, refused(5, Code::UNIMPLEMENTED));
}

#[tokio::test]
async fn a_panic_is_an_internal_error_and_the_connection_lives_on() {
    let server = Running::start(Limits::default()).await;
    let mut client = RawClient::greeted(server.addr, Format::JSON).await;
    assert_eq!(client.call(1, "panic_at_once", &()).await, failed(1, Code::INTERNAL));
    assert_eq!(client.call(2, "panic_later", &()).await, failed(2, Code::INTERNAL));
    assert_eq!(client.call(3, "panic_at_the_end", &()).await, ok(3, b"null"));
    assert_eq!(client.call(4, "echo", &"alive").await, ok(4, b"\"alive\""));
}

#[tokio::test]
async fn a_handler_is_dropped_at_its_deadline() {
    let mut server = Running::start(Limits::default()).await;
    let mut client = RawClient::greeted(server.addr, Format::JSON).await;
    client.request_within(1, "wait", &(), Some(Duration::from_millis(30)));
    client.send().await;
    assert_eq!(client.answer().await, failed(1, Code::DEADLINE_EXCEEDED));
    server.sees("started").await;
    server.sees("dropped").await;
}

#[tokio::test]
async fn a_call_without_time_left_is_not_started() {
    let server = Running::start(Limits::default()).await;
    let mut client = RawClient::greeted(server.addr, Format::JSON).await;
    client.request_within(1, "panic_at_once", &(), Some(Duration::ZERO));
    client.send().await;
    assert_eq!(client.answer().await, failed(1, Code::DEADLINE_EXCEEDED));
}

#[tokio::test]
async fn a_handler_knows_the_time_left() {
    let server = Running::start(Limits::default()).await;
    let mut client = RawClient::greeted(server.addr, Format::JSON).await;
    assert_eq!(client.call(1, "left", &()).await, ok(1, b"null"));
    client.request_within(2, "left", &(), Some(Duration::from_secs(3600)));
    client.send().await;
    let Answer::Ok(_, payload) = client.answer().await else { panic!("a success") };
    let left: u64 = serde_json::from_slice(&payload).unwrap();
    assert!((3_500_000..=3_600_000).contains(&left), "{left}");
}

#[tokio::test]
async fn a_cancelled_call_is_dropped_without_a_reply() {
    let mut server = Running::start(Limits::default()).await;
    let mut client = RawClient::greeted(server.addr, Format::JSON).await;
    client.request(1, "wait", &());
    client.send().await;
    server.sees("started").await;
    client.push(&Frame::Cancel(CallId(1)));
    client.push(&Frame::Cancel(CallId(99)));
    client.send().await;
    server.sees("dropped").await;
    assert_eq!(client.call(2, "echo", &"next").await, ok(2, b"\"next\""));
}

#[tokio::test]
async fn the_calls_of_a_client_that_leaves_are_dropped() {
    let mut server = Running::start(Limits::default()).await;
    let mut client = RawClient::greeted(server.addr, Format::JSON).await;
    client.request(1, "wait", &());
    client.send().await;
    server.sees("started").await;
    drop(client);
    server.sees("dropped").await;
}

/// Nested value whose depth the payload decides, in every format.
#[derive(serde::Deserialize)]
struct Tree(#[expect(dead_code, reason = "only decoded")] Vec<Self>);

#[tokio::test]
async fn a_payload_that_is_nested_too_deep_is_an_invalid_argument() {
    let server = Running::serve(Limits::default(), |tell| {
        let count = |_: Tree, _: Context| async { Ok::<_, Status>(()) };
        service(tell).method("count", count).build()
    });
    let server = server.await;
    for (format, level) in [(Format::JSON, b'['), (Format::POSTCARD, 1)] {
        let mut client = RawClient::greeted(server.addr, format).await;
        let payload = vec![level; 100_000];
        let deep = Request { method: "count", payload: &payload, ..Request::new(CallId(1)) };
        client.push(&Frame::Request(deep));
        client.send().await;
        assert_eq!(client.answer().await, failed(1, Code::INVALID_ARGUMENT));
        assert_eq!(client.call(2, "missing", &()).await, failed(2, Code::NOT_FOUND));
    }
}

#[tokio::test]
async fn a_ping_is_answered() {
    let server = Running::start(Limits::default()).await;
    let mut client = RawClient::greeted(server.addr, Format::JSON).await;
    client.push(&Frame::Ping(77));
    client.push(&Frame::Unknown(0xc0));
    client.send().await;
    assert_eq!(client.answer().await, Answer::Pong(77));
}

#[tokio::test]
async fn work_that_was_spawned_by_a_handler_that_panics_at_once_hears_that_the_call_is_over() {
    let service = |tell: UnboundedSender<&'static str>| {
        let spawn = move |(): (), context: Context| -> Ready<Result<(), Status>> {
            let tell = tell.clone();
            tokio::spawn(async move {
                context.cancelled().await;
                let _ = tell.send("over");
            });
            panic!("on purpose, at once");
        };
        Service::builder("test").method("spawn", spawn).build()
    };
    let mut server = Running::serve(Limits::default(), service).await;
    let mut client = RawClient::greeted(server.addr, Format::JSON).await;
    assert_eq!(client.call(1, "spawn", &()).await, failed(1, Code::INTERNAL));
    server.sees("over").await;
}

/// Error whose text panics.
#[derive(Debug)]
struct Unspeakable;

impl fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("on purpose, in the text");
    }
}

impl std::error::Error for Unspeakable {}

#[tokio::test]
async fn an_error_that_panics_is_an_internal_error_and_the_connection_lives_on() {
    let service = |_: UnboundedSender<&'static str>| {
        let at_once = |(): (), _: Context| async { Err::<(), rpc_server::Error>(Unspeakable.into()) };
        let later = |(): (), _: Context| async {
            tokio::task::yield_now().await;
            Err::<(), rpc_server::Error>(Unspeakable.into())
        };
        Service::builder("test").method("at_once", at_once).method("later", later).build()
    };
    let server = Running::serve(Limits::default(), service).await;
    let mut client = RawClient::greeted(server.addr, Format::JSON).await;
    for (id, method) in [(1, "at_once"), (2, "later"), (3, "at_once")] {
        assert_eq!(client.call(id, method, &()).await, failed(id, Code::INTERNAL));
    }
}
