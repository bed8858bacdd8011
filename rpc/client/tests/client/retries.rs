//! The end of a call whose attempts end in different ways: at a hedge, at a retry, at a full or a lost connection.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rpc_client::{Code, Error};
use tokio::time::Instant;

use crate::scripted::{Act, Scripted};
use crate::servers::{PATIENCE, eventually};

const MOMENT: Duration = Duration::from_millis(10);

#[tokio::test(start_paused = true)]
async fn a_failure_of_one_instance_leaves_the_other_attempt_its_chance() {
    for failure in [Act::Fail(Code::INTERNAL), Act::NotRun(Code::UNIMPLEMENTED)] {
        let act = move |_: &str, nth| if nth == 0 { Act::AnswerAfter(PATIENCE / 4) } else { failure };
        let client = Scripted::new(["a", "b"], 1, act).client.connect().await.unwrap();
        let call = client.call::<_, u32>("seven", &()).idempotent().hedge(MOMENT);
        assert_eq!(call.await.unwrap(), 7, "{failure:?}");
        assert_eq!(client.stats().hedged, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_stands_does_not_deny_the_attempt_that_it_has_overtaken() {
    let act = |_: &str, nth| if nth == 0 { Act::Hang } else { Act::NotRun(Code::INVALID_ARGUMENT) };
    let client = Scripted::new(["a", "b"], 1, act).client.connect().await.unwrap();
    let error = client.call::<_, u32>("seven", &()).idempotent().hedge(MOMENT).await.unwrap_err();
    assert_eq!((error.code(), error.may_have_been_applied()), (Code::INVALID_ARGUMENT, true));
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_slow_calls_stays_though_hedges_are_fast() {
    let slow = Duration::from_millis(40);
    let act = move |_: &str, nth| match nth {
        0..100 if nth % 10 == 0 => Act::AnswerAfter(slow),
        0..100 => Act::Answer,
        // First attempts hang, second ones do not.
        _ if nth % 2 == 0 => Act::Hang,
        _ => Act::Answer,
    };
    let client = Scripted::new(["a", "b"], 1, act).client.hedge_slower_than(95).connect().await.unwrap();
    for call in 0..400 {
        let begun = Instant::now();
        assert_eq!(client.call::<_, u32>("seven", &()).idempotent().await.unwrap(), 7);
        assert!(call < 100 || begun.elapsed() >= slow, "call {call} was hedged after {:?}", begun.elapsed());
    }
    assert_eq!(client.stats().hedged, 300);
}

#[tokio::test(start_paused = true)]
async fn an_argument_that_the_last_server_cannot_take_does_not_deny_the_attempt_before() {
    // Whichever comes first: one that was lost may have run.
    let act = |addr: &str, _| if addr == "new" { Act::Close } else { Act::Answer };
    let client = Scripted::new(["new", "old"], usize::MAX, act).client.connect().await.unwrap();
    let mut lost = None;
    eventually(async || {
        let call = client.call::<_, u32>("seven", &()).metadata("user", "ann").idempotent();
        lost = call.await.err().filter(|error| !matches!(error, Error::Argument { .. }));
        tokio::time::advance(MOMENT).await;
        lost.is_some()
    })
    .await;
    let lost = lost.unwrap();
    assert!(matches!(lost, Error::ConnectionLost { .. }) && lost.may_have_been_applied(), "{lost}");
}

#[tokio::test(start_paused = true)]
async fn the_status_of_an_attempt_is_kept_when_no_instance_is_left_for_another() {
    let scripted = Scripted::new(["a"], 1, |_, _| Act::FailAndClose(Code::UNAVAILABLE));
    let client = scripted.client.wait_for_instance(MOMENT).connect().await.unwrap();
    let error = client.call::<_, u32>("seven", &()).idempotent().await.unwrap_err();
    assert_eq!(error.to_string(), "test.seven: UNAVAILABLE: as told");
    assert!(matches!(error, Error::Status { not_run: false, .. }));
}

#[tokio::test(start_paused = true)]
async fn streams_are_retried_as_calls_are() {
    for (code, max_retries, requests) in [
        (Code::RESOURCE_EXHAUSTED, 0, 1),
        (Code::RESOURCE_EXHAUSTED, 2, 3),
        (Code::UNAVAILABLE, 0, 4),
        (Code::UNAVAILABLE, 1, 5),
    ] {
        let scripted = Scripted::new(["a"], 1, move |_, _| Act::NotRun(code));
        let counted = scripted.requests.clone();
        let client = scripted.client.max_retries(max_retries).connect().await.unwrap();
        let mut stream = client.server_stream::<_, u32>("count", &()).await.unwrap();
        let error = stream.next().await.unwrap().unwrap_err();
        assert_eq!((error.code(), error.may_have_been_applied()), (code, false));
        assert_eq!(counted.load(Ordering::SeqCst), requests, "{code} {max_retries}");
    }
}

#[tokio::test(start_paused = true)]
async fn streams_fill_the_budget_of_retries_as_calls_do() {
    // Each is refused once.
    let act = |_: &str, nth| if nth % 2 == 0 { Act::NotRun(Code::RESOURCE_EXHAUSTED) } else { Act::Answer };
    let client = Scripted::new(["a"], 1, act).client.retry_budget(1, 100).connect().await.unwrap();
    for _ in 0..10 {
        let mut stream = client.server_stream::<_, u32>("count", &()).await.unwrap();
        assert_eq!(stream.next().await.unwrap().unwrap(), 7);
        assert!(stream.next().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn an_instance_whose_streams_fail_is_ejected_and_shows_them() {
    let act = |addr: &str, _| if addr == "bad" { Act::Fail(Code::INTERNAL) } else { Act::Answer };
    let client = Scripted::new(["a", "b", "bad", "c"], 1, act).client.connect().await.unwrap();
    let mut failed = 0;
    for _ in 0..200 {
        let mut stream = client.server_stream::<_, u32>("count", &()).await.unwrap();
        failed += u64::from(stream.next().await.unwrap().is_err());
        while stream.next().await.is_some() {}
        // Longer than a failure is held against an instance without an ejection.
        tokio::time::sleep(Duration::from_millis(1_100)).await;
    }
    let instances = client.instances();
    let bad = instances.iter().find(|info| info.addr == "bad").unwrap();
    assert!(bad.ejections > 0 && failed < 20, "{failed} failed: {bad:?}");
    assert_eq!((bad.ok, bad.failed), (0, failed));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_with_its_deadline_says_nothing_of_its_instance() {
    let act = |addr: &str, _| if addr == "quiet" { Act::Hang } else { Act::Answer };
    let client = Scripted::new(["a", "b", "quiet", "c"], 1, act).client.connect().await.unwrap();
    for _ in 0..100 {
        let call = client.server_stream::<_, u32>("count", &()).deadline(MOMENT);
        let mut stream = call.await.unwrap();
        while stream.next().await.is_some() {}
    }
    assert_eq!(client.instances().iter().map(|info| info.ejections).sum::<u32>(), 0);
}

/// Servers that refuse the first stream, and answer the second.
fn refusing_first() -> Scripted {
    let act = |_: &str, nth| if nth == 0 { Act::NotRun(Code::UNAVAILABLE) } else { Act::Answer };
    Scripted::new(["a", "b"], 1, act)
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_is_refused_before_its_first_message_goes_elsewhere() {
    for messages in [0, 3] {
        let scripted = refusing_first();
        let client = scripted.client.connect().await.unwrap();
        let mut upload = client.client_stream::<u32, u32>("sum").await.unwrap();
        // The refusal is there before the first message.
        tokio::time::sleep(MOMENT).await;
        for message in 0..messages {
            upload.send(&message).await.unwrap();
        }
        assert_eq!(upload.finish().await.unwrap(), 7);
        assert_eq!(scripted.requests.load(Ordering::SeqCst), 2);
        let stats = client.stats();
        assert_eq!((stats.calls, stats.ok, stats.retried, stats.open_streams), (1, 1, 1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_has_sent_a_message_does_not_go_elsewhere() {
    let scripted = refusing_first();
    let client = scripted.client.connect().await.unwrap();
    let mut upload = client.client_stream::<u32, u32>("sum").await.unwrap();
    upload.send(&1).await.unwrap();
    let error = upload.finish().await.unwrap_err();
    assert_eq!((error.code(), error.may_have_been_applied()), (Code::UNAVAILABLE, false));
    assert_eq!(scripted.requests.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn both_halves_of_a_refused_stream_go_elsewhere_together() {
    for sender_is_first in [true, false] {
        let scripted = refusing_first();
        let client = scripted.client.connect().await.unwrap();
        let (mut sender, mut answers) = client.bidi_stream::<u32, u32>("chat").await.unwrap();
        tokio::time::sleep(MOMENT).await;
        let send = async {
            if !sender_is_first {
                tokio::time::sleep(MOMENT).await;
            }
            sender.send(&1).await.unwrap();
            sender.finish();
        };
        let read = async {
            if sender_is_first {
                tokio::time::sleep(MOMENT).await;
            }
            assert_eq!(answers.next().await.unwrap().unwrap(), 7);
            assert!(answers.next().await.is_none());
        };
        tokio::join!(send, read);
        assert_eq!(scripted.requests.load(Ordering::SeqCst), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_stream_does_not_go_elsewhere_once_a_half_of_it_was_dropped() {
    let scripted = refusing_first();
    let client = scripted.client.connect().await.unwrap();
    let (sender, mut answers) = client.bidi_stream::<u32, u32>("chat").await.unwrap();
    tokio::time::sleep(MOMENT).await;
    drop(sender);
    assert_eq!(answers.next().await.unwrap().unwrap_err().code(), Code::UNAVAILABLE);
    assert_eq!(scripted.requests.load(Ordering::SeqCst), 1);
}
