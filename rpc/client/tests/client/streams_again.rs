//! Streams that a server refuses and that are opened once more, while their callers do something else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rpc_client::{Client, Code};
use rpc_wire::{Frame, Message, Metadata, Reply, VERSION};
use tokio::time::timeout;

use crate::scripted::{Act, Scripted};
use crate::streams::raw;

/// Time that a caller gives to one half before it turns to another one.
const TURN: Duration = Duration::from_secs(1);

/// A client whose server refuses the first stream and wants to be left alone for half a minute. It answers each message of the
/// next one by 7, and the last one by its end with the result 7.
fn refused_once() -> (Client, Arc<AtomicUsize>) {
    let mut wish = Metadata::new();
    wish.insert("rpc.retry-after-ms", "30000").unwrap();
    let (wish, requests) = (&*Box::leak(Box::new(wish)), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&requests);
    let client = raw(VERSION, move |frame| match frame {
        Frame::Request(request) if counted.fetch_add(1, Ordering::Relaxed) == 0 => {
            vec![Frame::Reply(Reply::Failed {
                id: request.id,
                code: Code::RESOURCE_EXHAUSTED,
                message: "busy",
                details: "",
                metadata: wish.as_ref(),
                not_run: true,
            })]
        }
        Frame::Message(Message { id, .. }) => vec![Frame::Message(Message { id, payload: b"7" })],
        Frame::End(id) => vec![Frame::Reply(Reply::ok(id, b"7"))],
        Frame::Ping(number) => vec![Frame::Pong(number)],
        _ => Vec::new(),
    });
    (client, requests)
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_opened_again_by_whichever_half_is_polled() {
    let (client, requests) = refused_once();
    let (mut sender, mut answers) = client.bidi_stream::<u64, u64>("double").await.unwrap();
    // The reader begins to open it.
    timeout(TURN, answers.next()).await.unwrap_err();
    timeout(60 * TURN, sender.send(&1)).await.unwrap().unwrap();
    assert_eq!(timeout(TURN, answers.next()).await.unwrap().unwrap().unwrap(), 7);
    sender.finish();
    assert!(answers.next().await.is_none());
    assert_eq!((requests.load(Ordering::Relaxed), client.stats().retried), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_reader_goes_on_with_the_stream_that_a_dropped_send_has_begun_to_open() {
    let (client, requests) = refused_once();
    let (mut sender, mut answers) = client.bidi_stream::<u64, u64>("double").await.unwrap();
    // Until the refusal has come.
    tokio::time::sleep(TURN).await;
    timeout(TURN, sender.send(&1)).await.unwrap_err();
    let reading = tokio::spawn(async move { answers.next().await });
    tokio::time::sleep(60 * TURN).await;
    assert_eq!((requests.load(Ordering::Relaxed), client.stats().retried), (2, 1));
    timeout(TURN, sender.send(&1)).await.unwrap().unwrap();
    assert_eq!(reading.await.unwrap().unwrap().unwrap(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_send_that_is_dropped_and_repeated_counts_the_refusal_of_its_stream_once() {
    let (client, requests) = refused_once();
    let (mut sender, mut answers) = client.bidi_stream::<u64, u64>("double").await.unwrap();
    // Until the refusal has come.
    tokio::time::sleep(TURN).await;
    let mut turns = 1;
    while timeout(TURN, sender.send(&1)).await.map(Result::unwrap).is_err() {
        turns += 1;
    }
    assert!((29..=32).contains(&turns), "{turns} seconds, as the server has asked for");
    assert_eq!(answers.next().await.unwrap().unwrap(), 7);
    assert_eq!(requests.load(Ordering::Relaxed), 2);
    assert_eq!(client.stats().retried, 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_was_refused_leaves_its_place_on_the_connection_to_the_next_one() {
    let refused = |_: &str, number| match number {
        0 => Act::NotRun(Code::UNAVAILABLE),
        _ => Act::Answer,
    };
    let servers = Scripted::new(["a"], usize::MAX, refused);
    let client = servers.client.max_in_flight(1).connect().await.unwrap();
    let mut messages = client.server_stream::<_, u64>("count", &1_u64).await.unwrap();
    assert_eq!(messages.next().await.unwrap().unwrap(), 7);
}
