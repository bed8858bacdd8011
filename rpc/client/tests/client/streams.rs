//! Streams as their callers meet them: the three shapes, slow readers, many at a time, ends of all kinds.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use futures_util::{StreamExt, stream};
use rpc_client::session::next_frame;
use rpc_client::{Client, Code, Error, Format};
use rpc_server::{Context, MemoryConnector, Messages, Server, Service, Status};
use rpc_wire::{Frame, Hello, Message, MetadataRef, Reply, VERSION};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;

use crate::servers::PATIENCE;

const MAX_FRAME: usize = 1 << 20;

type Stream<T> = stream::BoxStream<'static, Result<T, Status>>;

/// Tells when it is dropped.
struct Tell(mpsc::UnboundedSender<()>);

impl Drop for Tell {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

async fn count(to: u64, _: Context) -> Result<Stream<u64>, Status> {
    Ok(stream::iter((1..=to).map(Ok)).boxed())
}

async fn fail(after: u64, _: Context) -> Result<Stream<u64>, Status> {
    let last = stream::once(async { Err(Status::data_loss("gone").with_details(&("page", 7))) });
    Ok(stream::iter((1..=after).map(Ok)).chain(last).boxed())
}

async fn sum(mut numbers: Messages<u64>, _: Context) -> Result<u64, Status> {
    let mut sum = 0;
    while let Some(number) = numbers.next().await {
        sum += number?;
    }
    Ok(sum)
}

/// Answers at the first message.
async fn first(mut numbers: Messages<u64>, _: Context) -> Result<u64, Status> {
    numbers.next().await.unwrap_or_else(|| Err(Status::invalid_argument("no message")))
}

async fn double(numbers: Messages<u64>, _: Context) -> Result<Stream<u64>, Status> {
    Ok(numbers.map(|number| Ok(2 * number?)).boxed())
}

/// A service; it counts the bytes of `fill`, and tells when a `watch` is dropped.
fn service(filled: &Arc<AtomicUsize>, dropped: &mpsc::UnboundedSender<()>) -> Service {
    let (filled, dropped) = (Arc::clone(filled), dropped.clone());
    let fill = move |(len, n): (usize, usize), _: Context| {
        let filled = Arc::clone(&filled);
        let message = move |_| {
            filled.fetch_add(len, Ordering::Relaxed);
            Ok::<_, Status>("x".repeat(len))
        };
        async move { Ok::<_, Status>(stream::iter(0..n).map(message)) }
    };
    let told = dropped.clone();
    let watch = move |first: u64, _: Context| {
        let tell = Tell(told.clone());
        let rest = stream::pending().map(move |item| (&tell, item).1);
        async move { Ok::<_, Status>(stream::iter((0..first).map(Ok::<_, Status>)).chain(rest)) }
    };
    let chat = move |numbers: Messages<u64>, _: Context| {
        let tell = Tell(dropped.clone());
        async move { Ok::<_, Status>(numbers.map(move |item| (&tell, item).1)) }
    };
    Service::builder("test")
        .server_stream("count", count)
        .server_stream("fail", fail)
        .server_stream("fill", fill)
        .server_stream("watch", watch)
        .client_stream("sum", sum)
        .client_stream("first", first)
        .bidi_stream("double", double)
        .bidi_stream("chat", chat)
        .method("echo", |text: String, _: Context| async move { Ok::<_, Status>(text) })
        .build()
}

/// A server, what it has filled, and news of the streams that it has dropped.
fn served() -> (MemoryConnector, Arc<AtomicUsize>, mpsc::UnboundedReceiver<()>) {
    let (filled, (tell, dropped)) = (Arc::default(), mpsc::unbounded_channel());
    (Server::new(service(&filled, &tell)).in_memory(), filled, dropped)
}

async fn connect(server: &MemoryConnector) -> Client {
    let server = server.clone();
    Client::in_memory("test", move || server.connect()).seed(7).connect().await.unwrap()
}

async fn all<R: serde::de::DeserializeOwned>(mut messages: rpc_client::Messages<R>) -> Result<Vec<R>, Error> {
    let mut all = Vec::new();
    while let Some(message) = messages.next().await {
        all.push(message?);
    }
    Ok(all)
}

#[tokio::test]
async fn streams_of_all_shapes_work_over_sockets_in_both_formats() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let service = service(&Arc::default(), &mpsc::unbounded_channel().0);
    tokio::spawn(Server::new(service).serve(listener, std::future::pending()));
    for format in [Format::JSON, Format::POSTCARD] {
        let client = Client::direct("test", [&addr]).format(format).connect().await.unwrap();
        let numbers = client.server_stream("count", &100_u64).await.unwrap();
        assert_eq!(all::<u64>(numbers).await.unwrap(), (1..=100).collect::<Vec<_>>());

        let mut upload = client.client_stream::<u64, u64>("sum").await.unwrap();
        for number in 1..=1_000 {
            upload.send(&number).await.unwrap();
        }
        assert_eq!(upload.finish().await.unwrap(), 500_500);

        let (mut sender, mut doubles) = client.bidi_stream::<u64, u64>("double").await.unwrap();
        for number in 1..=100 {
            sender.send(&number).await.unwrap();
            assert_eq!(doubles.next().await.unwrap().unwrap(), 2 * number);
        }
        sender.finish();
        assert!(doubles.next().await.is_none() && doubles.next().await.is_none());

        let stats = client.stats();
        assert_eq!((stats.streams, stats.calls, stats.ok), (3, 3, 3));
        drop(doubles);
        assert_eq!(client.stats().open_streams, 0);
    }
}

#[tokio::test]
async fn messages_that_are_kept_after_their_end_leave_their_place_to_a_call() {
    let (server, ..) = served();
    let client =
        Client::in_memory("test", move || server.connect()).max_in_flight(1).connect().await.unwrap();
    let mut numbers = client.server_stream::<_, u64>("count", &1_u64).await.unwrap();
    assert_eq!(numbers.next().await.unwrap().unwrap(), 1);
    assert!(numbers.next().await.is_none());
    let echoed: String = client.call("echo", "hi").fail_fast().await.unwrap();
    assert_eq!(echoed, "hi");
    drop(numbers);
}

#[tokio::test]
async fn halves_that_are_kept_after_their_stream_was_cancelled_leave_its_place_to_a_call() {
    let (server, ..) = served();
    let client =
        Client::in_memory("test", move || server.connect()).max_in_flight(1).connect().await.unwrap();
    let echo = async || client.call::<_, String>("echo", "hi").fail_fast().await.unwrap();

    let mut wrong = client.server_stream::<_, String>("watch", &1_u64).await.unwrap();
    assert!(matches!(wrong.next().await, Some(Err(Error::Result { .. }))));
    assert_eq!(echo().await, "hi", "the type of a message was wrong");

    let (sender, messages) = client.bidi_stream::<u64, u64>("chat").await.unwrap();
    drop(messages);
    assert_eq!(echo().await, "hi", "the receiver was dropped");

    let (dropped, messages) = client.bidi_stream::<u64, u64>("chat").await.unwrap();
    drop(dropped);
    assert_eq!(echo().await, "hi", "the sender was dropped");
    drop((wrong, sender, messages));
}

#[tokio::test]
async fn a_failure_comes_behind_the_messages_with_its_details() {
    let (server, ..) = served();
    let client = connect(&server).await;
    let mut messages = client.server_stream::<_, u64>("fail", &2_u64).await.unwrap();
    assert_eq!((messages.next().await.unwrap().unwrap(), messages.next().await.unwrap().unwrap()), (1, 2));
    let error = messages.next().await.unwrap().unwrap_err();
    let Error::Status { status, not_run: false, .. } = &error else { panic!("{error}") };
    assert_eq!(status.details::<(String, u32)>(), Some(("page".to_owned(), 7)));
    assert!(messages.next().await.is_none());

    let unknown = client.server_stream::<_, u64>("nothing", &1).await.unwrap();
    let error = all(unknown).await.unwrap_err();
    assert_eq!((error.code(), error.may_have_been_applied()), (Code::UNIMPLEMENTED, false));
    let wrong = client.server_stream::<_, String>("count", &1_u64).await.unwrap();
    assert!(matches!(all(wrong).await.unwrap_err(), Error::Result { .. }));
    assert_eq!(client.stats().failed, 3);
}

#[tokio::test]
async fn a_server_may_answer_before_the_last_message() {
    let (server, ..) = served();
    let client = connect(&server).await;
    let mut upload = client.client_stream::<u64, u64>("first").await.unwrap();
    let error = loop {
        if let Err(error) = upload.send(&7).await {
            break error;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(error.code(), Code::CANCELLED);
    assert_eq!(upload.finish().await.unwrap(), 7, "the result is there all the same");
}

#[tokio::test(start_paused = true)]
async fn a_sender_learns_of_the_end_before_its_next_message() {
    let (server, ..) = served();
    let client = connect(&server).await;
    let mut upload = client.client_stream::<u64, u64>("first").await.unwrap();
    assert!(tokio::time::timeout(PATIENCE, upload.closed()).await.is_err(), "the server waits for a message");
    upload.send(&7).await.unwrap();
    upload.closed().await;
    assert_eq!(upload.finish().await.unwrap(), 7);

    let mut upload = client.client_stream::<u64, u64>("nothing").await.unwrap();
    upload.closed().await;
    let error = upload.finish().await.unwrap_err();
    assert_eq!((error.code(), error.may_have_been_applied()), (Code::UNIMPLEMENTED, false), "{error}");

    let sum = client.client_stream::<u64, u64>("sum").deadline(PATIENCE / 2);
    let mut upload = sum.await.unwrap();
    upload.send(&7).await.unwrap();
    upload.closed().await;
    assert!(matches!(upload.finish().await.unwrap_err(), Error::Deadline { sent: true, .. }));
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_holds_up_its_stream_within_the_window_and_nothing_else() {
    let (server, filled, _) = served();
    let client = connect(&server).await;
    let slow = client.server_stream::<_, String>("fill", &(1_000, 20_000)).await.unwrap();
    // Time passes only when nobody can do anything.
    tokio::time::sleep(Duration::from_secs(60)).await;
    let ahead = filled.load(Ordering::Relaxed);
    assert!((100 << 10..2 << 20).contains(&ahead), "{ahead} bytes");
    assert_eq!(client.call::<_, String>("echo", "quick").await.unwrap(), "quick");
    let quick = client.server_stream("count", &10_000_u64).await.unwrap();
    assert_eq!(all::<u64>(quick).await.unwrap().len(), 10_000);
    assert_eq!(filled.load(Ordering::Relaxed), ahead);
    assert_eq!(all(slow).await.unwrap().len(), 20_000);
}

#[tokio::test(start_paused = true)]
async fn a_sender_waits_for_a_server_that_takes_no_messages() {
    let (server, ..) = served();
    let client = connect(&server).await;
    // The answers of the server wait for the reader, so it takes no more messages.
    let (mut sender, mut answers) = client.bidi_stream::<u64, u64>("double").await.unwrap();
    let mut sent = 0_u64;
    while tokio::time::timeout(PATIENCE, sender.send(&sent)).await.is_ok() {
        sent += 1;
    }
    assert!((10_000..1_000_000).contains(&sent), "{sent}");
    let read = async {
        let mut read = 0;
        while let Some(answer) = answers.next().await {
            assert_eq!(answer.unwrap(), 2 * read);
            read += 1;
        }
        read
    };
    sender.finish();
    assert_eq!(read.await, sent, "each message that was sent, and no other");
}

#[tokio::test]
async fn a_thousand_streams_at_a_time_go_on_side_by_side() {
    let (server, ..) = served();
    let client = connect(&server).await;
    let mut streams = Vec::new();
    for _ in 0..1_000 {
        streams.push(client.bidi_stream::<u64, u64>("double").await.unwrap());
    }
    assert_eq!(client.stats().open_streams, 1_000);
    for round in 0..10 {
        for (n, (sender, _)) in (0_u64..).zip(&mut streams) {
            sender.send(&(n + round)).await.unwrap();
        }
        for (n, (_, answers)) in (0_u64..).zip(&mut streams) {
            assert_eq!(answers.next().await.unwrap().unwrap(), 2 * (n + round));
        }
    }
    drop(streams);
    assert_eq!(client.stats().open_streams, 0);
    assert_eq!(client.call::<_, String>("echo", "still there").await.unwrap(), "still there");
}

#[tokio::test]
async fn dropping_any_half_cancels_the_stream() {
    let (server, _, mut dropped) = served();
    let client = connect(&server).await;
    let mut messages = client.server_stream::<_, u64>("watch", &1_u64).await.unwrap();
    messages.next().await.unwrap().unwrap();
    drop(messages);
    dropped.recv().await.unwrap();

    let (mut sender, mut answers) = client.bidi_stream::<u64, u64>("chat").await.unwrap();
    sender.send(&1).await.unwrap();
    answers.next().await.unwrap().unwrap();
    drop(sender);
    assert_eq!(answers.next().await.unwrap().unwrap_err().code(), Code::CANCELLED);
    dropped.recv().await.unwrap();

    let (mut sender, mut answers) = client.bidi_stream::<u64, u64>("chat").await.unwrap();
    sender.send(&1).await.unwrap();
    answers.next().await.unwrap().unwrap();
    drop(answers);
    dropped.recv().await.unwrap();
    assert_eq!(sender.send(&2).await.unwrap_err().code(), Code::CANCELLED);
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_with_its_deadline_and_so_does_its_handler() {
    let (server, _, mut dropped) = served();
    let client = connect(&server).await;
    let call = client.server_stream::<_, u64>("watch", &2_u64).deadline(Duration::from_secs(5));
    let mut messages = call.await.unwrap();
    for expected in 0..2 {
        assert_eq!(messages.next().await.unwrap().unwrap(), expected);
    }
    let error = messages.next().await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Deadline { sent: true, .. }), "{error}");
    dropped.recv().await.unwrap();
}

#[tokio::test]
async fn a_lost_connection_ends_the_stream_and_says_how_far_it_came() {
    let (connector, listener) = rpc_server::in_memory();
    let service = service(&Arc::default(), &mpsc::unbounded_channel().0);
    let serving = tokio::spawn(Server::new(service).serve_in_memory(listener, std::future::pending()));
    let client = connect(&connector).await;
    let mut messages = client.server_stream::<_, u64>("watch", &3_u64).await.unwrap();
    for _ in 0..3 {
        messages.next().await.unwrap().unwrap();
    }
    serving.abort();
    let error = messages.next().await.unwrap().unwrap_err();
    assert!(matches!(error, Error::ConnectionLost { .. }) && error.may_have_been_applied(), "{error}");
    assert!(error.to_string().contains("after 3 messages"), "{error}");
    assert!(messages.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_a_call_on_its_connection_as_long_as_it_lives() {
    let (server, ..) = served();
    let connector = server.clone();
    let client = Client::in_memory("test", move || connector.connect()).max_in_flight(1);
    let client = client.connect().await.unwrap();
    let messages = client.server_stream::<_, u64>("watch", &0_u64).await.unwrap();
    let call = client.call::<_, String>("echo", "x").deadline(Duration::from_secs(1));
    call.await.unwrap_err();
    drop(messages);
    assert_eq!(client.call::<_, String>("echo", "x").await.unwrap(), "x");
}

#[tokio::test(start_paused = true)]
async fn a_stream_waits_for_an_instance_as_long_as_it_is_told_to() {
    let (server, ..) = served();
    let connector = server.clone();
    let start = tokio::time::Instant::now();
    let open = move || match start.elapsed() >= Duration::from_secs(60) {
        true => connector.connect(),
        false => Err(std::io::ErrorKind::ConnectionRefused.into()),
    };
    let client = Client::in_memory("test", open).connect().await.unwrap();
    let error = client.server_stream::<_, u64>("count", &1_u64).fail_fast().await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }) && start.elapsed().is_zero(), "{error}");
    let call =
        client.server_stream::<_, u64>("count", &1_u64).key("user").metadata("a", "b").wait_for_ready();
    assert_eq!(all::<u64>(call.await.unwrap()).await.unwrap(), [1]);
    let error = client.server_stream::<_, u64>("count", &1_u64).metadata("rpc.x", "").await.unwrap_err();
    assert_eq!(error.code(), Code::INVALID_ARGUMENT);
}

/// A server that answers each frame as the function says.
pub(crate) fn raw(
    version: u16,
    answer: impl Fn(Frame<'_>) -> Vec<Frame<'static>> + Clone + Send + Sync + 'static,
) -> Client {
    let open = move || {
        let (ours, theirs) = duplex(MAX_FRAME);
        tokio::spawn(play(theirs, version, answer.clone()));
        Ok(ours)
    };
    let connecting = Client::in_memory("test", open).wait_for_instance(Duration::from_secs(1)).connect();
    futures_util::FutureExt::now_or_never(connecting).unwrap().unwrap()
}

async fn play(
    mut stream: DuplexStream,
    version: u16,
    answer: impl Fn(Frame<'_>) -> Vec<Frame<'static>>,
) -> std::io::Result<()> {
    let mut input = BytesMut::new();
    loop {
        let Some(body) = next_frame(&mut input, MAX_FRAME).unwrap() else {
            if stream.read_buf(&mut input).await? == 0 {
                return Ok(());
            }
            continue;
        };
        let mut out = Vec::new();
        match Frame::decode(&body).unwrap() {
            Frame::Hello(hello) => {
                let hello = Hello { version, instance: "raw", ..hello };
                Frame::Hello(hello).encode(&mut out, MAX_FRAME).unwrap();
            }
            frame => {
                for answer in answer(frame) {
                    answer.encode(&mut out, MAX_FRAME).unwrap();
                }
            }
        }
        stream.write_all(&out).await?;
    }
}

#[tokio::test]
async fn a_server_of_version_1_gets_no_stream_and_the_error_says_so() {
    let client = raw(1, |frame| match frame {
        Frame::Request(request) if !request.stream => vec![Frame::Reply(Reply::ok(request.id, b"7"))],
        frame => panic!("{frame:?}"),
    });
    let error = client.server_stream::<_, u64>("count", &1_u64).await.unwrap_err();
    assert_eq!((error.code(), error.may_have_been_applied()), (Code::UNIMPLEMENTED, false));
    assert!(error.to_string().contains("version 1"), "{error}");
    assert_eq!(client.call::<_, u64>("seven", &()).await.unwrap(), 7, "calls work");
}

#[tokio::test]
async fn a_stream_that_did_not_run_is_opened_again() {
    let refusals = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&refusals);
    let client = raw(VERSION, move |frame| {
        let Frame::Request(request) = frame else { return Vec::new() };
        if counted.fetch_add(1, Ordering::Relaxed) < 2 {
            return vec![Frame::Reply(Reply::Failed {
                id: request.id,
                code: Code::UNAVAILABLE,
                message: "leaving",
                details: "",
                metadata: MetadataRef::default(),
                not_run: true,
            })];
        }
        let message = Frame::Message(Message { id: request.id, payload: b"1" });
        vec![message, Frame::Reply(Reply::ok(request.id, b""))]
    });
    let messages = client.server_stream::<_, u64>("count", &1_u64).await.unwrap();
    assert_eq!(all::<u64>(messages).await.unwrap(), [1]);
    assert_eq!((refusals.load(Ordering::Relaxed), client.stats().retried), (3, 2));
}

#[tokio::test]
async fn a_server_that_sends_without_credit_loses_its_connection_and_no_memory_is_taken() {
    let client = raw(VERSION, |frame| match frame {
        Frame::Request(request) => {
            let message = Frame::Message(Message { id: request.id, payload: &[b'1'; 64 << 10] });
            vec![message; 10]
        }
        _ => Vec::new(),
    });
    let mut messages = client.server_stream::<_, u64>("count", &1_u64).await.unwrap();
    let mut ends = Vec::new();
    while let Some(message) = messages.next().await {
        ends.push(message.unwrap_err());
    }
    assert!(matches!(ends[..], [Error::Result { .. } | Error::ConnectionLost { .. }]), "{ends:?}");
}
