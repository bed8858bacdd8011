//! Streams as a client of version 2 sees them, byte by byte.

use futures_util::{StreamExt, stream};
use rpc_server::{Code, Context, Limits, Messages, Service, Status};
use rpc_wire::{Budget, CallId, Credit, Frame, HEADER_LEN, Message, Request};
use tokio::sync::mpsc;

use crate::peer::{Answer, RawClient, Running, Tell, failed, limits, ok, peak_memory};

type Stream<T> = stream::BoxStream<'static, Result<T, Status>>;

/// First numbers; the last one is a failure.
async fn count(to: u32, _: Context) -> Result<Stream<u32>, Status> {
    let last = stream::once(async { Err(Status::out_of_range("too far").with_details(&"far")) });
    Ok(stream::iter((1..to).map(Ok)).chain(last).boxed())
}

async fn fill(len: usize, _: Context) -> Result<Stream<String>, Status> {
    Ok(stream::repeat_with(move || Ok("x".repeat(len))).boxed())
}

async fn sum(mut numbers: Messages<u64>, _: Context) -> Result<u64, Status> {
    let mut sum = 0;
    while let Some(number) = numbers.next().await {
        sum += number?;
    }
    Ok(sum)
}

async fn double(numbers: Messages<u64>, _: Context) -> Result<Stream<u64>, Status> {
    Ok(numbers.map(|number| Ok(2 * number?)).boxed())
}

/// Takes the first message and no other.
async fn first(mut texts: Messages<String>, _: Context) -> Result<String, Status> {
    let first = texts.next().await.transpose()?;
    drop(texts);
    tokio::task::yield_now().await;
    first.ok_or_else(|| Status::invalid_argument("no message"))
}

pub(crate) fn service(tell: mpsc::UnboundedSender<&'static str>) -> Service {
    let told = tell.clone();
    let watch = move |(): (), _: Context| {
        let _ = told.send("started");
        let told = Tell(told.clone());
        async move { Ok::<_, Status>(stream::pending::<Result<(), Status>>().map(move |item| (&told, item).1)) }
    };
    let deaf = move |messages: Messages<String>, _: Context| {
        let _ = tell.send("started");
        let told = Tell(tell.clone());
        async move {
            std::future::pending::<()>().await;
            drop((messages, told));
            Ok::<_, Status>(())
        }
    };
    Service::builder("test")
        .server_stream("count", count)
        .server_stream("fill", fill)
        .server_stream("watch", watch)
        .client_stream("sum", sum)
        .client_stream("first", first)
        .client_stream("deaf", deaf)
        .bidi_stream("double", double)
        .method("echo", |text: String, _: Context| async move { Ok::<_, Status>(text) })
        .build()
}

async fn greeted(budget: Budget) -> (Running, RawClient) {
    let server = Running::serve(Limits::default(), service).await;
    let client = RawClient::greeted_with(server.addr, budget).await;
    (server, client)
}

impl RawClient {
    pub(crate) fn open(&mut self, id: u64, method: &str, argument: &str) {
        let (more, stream) = (argument.is_empty(), ["count", "fill", "watch", "double"].contains(&method));
        let payload = argument.as_bytes();
        self.push(&Frame::Request(Request { method, more, stream, payload, ..Request::new(CallId(id)) }));
    }

    pub(crate) fn message(&mut self, id: u64, payload: &str) {
        self.push(&Frame::Message(Message { id: CallId(id), payload: payload.as_bytes() }));
    }

    fn credit(&mut self, id: u64, bytes: u32) {
        self.push(&Frame::Credit(Credit { id: CallId(id), bytes }));
    }
}

pub(crate) fn message(id: u64, payload: &str) -> Answer {
    Answer::Message(CallId(id), payload.into())
}

#[tokio::test]
async fn a_stream_of_the_server_comes_as_far_as_there_is_credit_and_its_failure_last() {
    // Each message has 15 bytes.
    let (_server, mut client) = greeted(Budget { stream: 30, connection: 1_000, calls: 4_096 }).await;
    client.open(1, "count", "4");
    client.request(2, "echo", &"quick");
    client.send().await;
    let mut answers = [client.answer().await, client.answer().await, client.answer().await];
    answers.sort_by_key(|answer| matches!(answer, Answer::Ok(..)));
    assert_eq!(answers, [message(1, "1"), message(1, "2"), ok(2, b"\"quick\"")]);
    client.request(3, "echo", &"still there");
    client.send().await;
    assert_eq!(client.answer().await, ok(3, b"\"still there\""), "the stream waits");
    client.credit(1, 1);
    client.send().await;
    assert_eq!(client.answer().await, message(1, "3"));
    assert_eq!(client.answer().await, failed(1, Code::OUT_OF_RANGE));
}

#[tokio::test]
async fn a_message_may_be_longer_than_the_budget_of_calls() {
    let (_server, mut client) = greeted(Budget { stream: 1, connection: 1 << 20, calls: 64 << 10 }).await;
    client.open(1, "fill", "100000");
    client.send().await;
    assert_eq!(client.answer().await, message(1, &format!("\"{}\"", "x".repeat(100_000))));
}

#[tokio::test]
async fn a_small_window_opens_as_the_handler_takes_messages() {
    let small = limits(|limits| (limits.stream_window, limits.connection_window) = (100, 60));
    let server = Running::serve(small, service).await;
    let mut client = RawClient::greeted_with(server.addr, Budget::default()).await;
    client.open(1, "sum", "");
    // Four messages have 60 bytes, all that the connection may have under way.
    for _ in 0..10 {
        (0..4).for_each(|_| client.message(1, "1"));
        client.send().await;
        let mut back = 0;
        while back < 60 {
            let Answer::Credit(id, bytes) = client.answer().await else { panic!("credit") };
            back += if id == CallId(0) { bytes } else { 0 };
        }
    }
    client.push(&Frame::End(CallId(1)));
    client.send().await;
    let mut last = client.answer().await;
    while matches!(last, Answer::Credit(..)) {
        last = client.answer().await;
    }
    assert_eq!(last, ok(1, b"40"));
}

#[tokio::test]
async fn streams_of_the_client_and_of_both_run_side_by_side() {
    let (_server, mut client) = greeted(Budget::default()).await;
    client.open(1, "sum", "");
    client.open(2, "double", "");
    for number in 1..=100 {
        client.message(1, &number.to_string());
    }
    for number in ["1", "2", "3"] {
        client.message(2, number);
        client.send().await;
        assert_eq!(client.answer().await, message(2, &(2 * number.parse::<u32>().unwrap()).to_string()));
    }
    client.push(&Frame::End(CallId(1)));
    client.send().await;
    assert_eq!(client.answer().await, ok(1, b"5050"));
    client.push(&Frame::End(CallId(2)));
    client.send().await;
    assert_eq!(client.answer().await, ok(2, b""));
}

#[tokio::test]
async fn a_message_that_does_not_decode_fails_the_call() {
    let (_server, mut client) = greeted(Budget::default()).await;
    client.open(1, "sum", "");
    client.message(1, "no number");
    client.send().await;
    assert_eq!(client.answer().await, failed(1, Code::INVALID_ARGUMENT));
}

#[tokio::test]
async fn credit_comes_back_also_for_messages_that_the_handler_does_not_want() {
    let (_server, mut client) = greeted(Budget::default()).await;
    client.open(1, "first", "");
    let text = format!("\"{}\"", "x".repeat((128 << 10) - HEADER_LEN - 2));
    client.message(1, &text);
    client.send().await;
    let (mut answers, mut credited) = (Vec::new(), 0);
    for _ in 0..2 {
        answers.push(client.answer().await);
    }
    for answer in &answers {
        credited += if let Answer::Credit(CallId(1), bytes) = answer { *bytes } else { 0 };
    }
    assert!(credited <= 128 << 10 && answers.contains(&ok(1, text.as_bytes())), "{credited}");
}

#[tokio::test]
async fn a_cancel_and_a_deadline_drop_handler_and_stream() {
    let (mut server, mut client) = greeted(Budget::default()).await;
    for id in 1..=2 {
        client.open(id, "watch", "null");
        client.send().await;
        server.sees("started").await;
        client.push(&Frame::Cancel(CallId(id)));
        client.send().await;
        server.sees("dropped").await;
    }
    let time_left = Some(std::time::Duration::from_millis(30));
    let late = Request { method: "deaf", more: true, time_left, ..Request::new(CallId(3)) };
    client.push(&Frame::Request(late));
    client.send().await;
    assert_eq!(client.answer().await, failed(3, Code::DEADLINE_EXCEEDED));
    server.sees("started").await;
    server.sees("dropped").await;
}

#[tokio::test]
async fn a_client_that_leaves_drops_handler_and_stream() {
    let (mut server, mut client) = greeted(Budget::default()).await;
    client.open(1, "watch", "null");
    client.send().await;
    server.sees("started").await;
    drop(client);
    server.sees("dropped").await;
}

#[tokio::test]
async fn a_client_that_sends_without_credit_is_disconnected() {
    let (mut server, mut client) = greeted(Budget::default()).await;
    client.open(1, "deaf", "");
    client.send().await;
    server.sees("started").await;
    client.message(1, "");
    let bytes = std::mem::take(&mut client.out);
    let sent = client.send_for_ever(&bytes).await;
    assert!(sent < 64 << 20, "{sent} bytes were taken");
    server.sees("dropped").await;
}

#[tokio::test]
async fn streams_that_are_not_read_hold_little_memory() {
    let (mut server, mut client) =
        greeted(Budget { stream: u32::MAX, connection: u32::MAX, calls: u32::MAX }).await;
    let before = peak_memory();
    for id in 1..=200 {
        client.open(id, "fill", "1000");
    }
    client.open(201, "watch", "null");
    client.send().await;
    server.sees("started").await;
    for _ in 0..100 {
        assert!(matches!(client.answer().await, Answer::Message(..)));
    }
    let grown = peak_memory() - before;
    assert!(grown < 32 << 20, "{grown} bytes");
}

#[tokio::test]
async fn long_messages_that_were_taken_hold_no_memory() {
    let everything = Budget { stream: u32::MAX, connection: u32::MAX, calls: u32::MAX };
    let (_server, mut client) = greeted(everything).await;
    let before = peak_memory();
    let long = " ".repeat(700_000) + "1";
    for id in 1..=100 {
        client.open(id, "sum", "");
        for _ in 0..2 {
            client.message(id, &long);
            client.send().await;
            // It was taken.
            while !matches!(client.answer().await, Answer::Credit(at, 600_000..) if at == CallId(id)) {}
        }
    }
    let grown = peak_memory() - before;
    assert!(grown < 32 << 20, "{grown} bytes");
}
