//! Deadlines: a call ends at its deadline, neither before nor much later.

use std::time::{Duration, Instant};

use rpc_client::Error;
use tokio::task::JoinSet;

use crate::servers::{Misbehaviour, PATIENCE, TestServer, client, misbehaving};

fn is_late(error: &Error) -> bool {
    matches!(error, Error::Deadline { sent: true, .. })
}

#[tokio::test]
async fn calls_on_one_connection_end_each_at_its_own_deadline() {
    let server = TestServer::start("a").await;
    let client = client([server.addr]).connect().await.unwrap();
    // The connection is there.
    client.call::<_, String>("who", &()).await.unwrap();
    let patient = {
        let client = client.clone();
        tokio::spawn(async move { client.call::<_, String>("slow_who", &300).await })
    };
    let mut calls = JoinSet::new();
    // Later and earlier ones in turn, some at the same time.
    for n in 0..400_u64 {
        let (client, deadline) = (client.clone(), Duration::from_millis(20 + n * 37 % 200));
        calls.spawn(async move {
            #[expect(clippy::disallowed_methods, reason = "a test measures")]
            let begun = Instant::now();
            let error = client.call::<_, ()>("hang", &()).deadline(deadline).await.unwrap_err();
            assert!(is_late(&error), "{error}");
            assert!(begun.elapsed() >= deadline, "{:?} of {deadline:?}", begun.elapsed());
        });
    }
    while let Some(ended) = tokio::time::timeout(PATIENCE, calls.join_next()).await.unwrap() {
        ended.unwrap();
    }
    assert_eq!(patient.await.unwrap().unwrap(), "a", "a call with time left is not disturbed");
    assert_eq!((client.stats().ok, client.stats().failed), (2, 400));
}

#[tokio::test]
async fn a_call_ends_at_its_deadline_even_if_its_server_does_not_read() {
    let addr = misbehaving("deaf", Misbehaviour::NeverReadAgain).await;
    let client = client([addr]).connect().await.unwrap();
    // More than the sockets hold.
    let long = "x".repeat(512 << 10);
    let filling: Vec<_> = (0..32)
        .map(|_| {
            let (client, long) = (client.clone(), long.clone());
            tokio::spawn(async move { client.call::<_, String>("echo", &long).await })
        })
        .collect();
    tokio::task::yield_now().await;
    let call = client.call::<_, String>("echo", "short").deadline(Duration::from_millis(50));
    let error = tokio::time::timeout(PATIENCE, call.into_future()).await.unwrap().unwrap_err();
    assert!(is_late(&error), "{error}");
    filling.iter().for_each(tokio::task::JoinHandle::abort);
}

#[test]
fn a_call_does_not_outlive_the_runtime_of_its_client() {
    let runtime =
        || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (theirs, ours) = (runtime(), runtime());
    let (mut server, client) = theirs.block_on(async {
        let server = TestServer::start("a").await;
        let client = client([server.addr]).connect().await.unwrap();
        (server, client)
    });
    let call = ours.spawn(async move { client.call::<_, ()>("hang", &()).await });
    theirs.block_on(server.sees("started"));
    theirs.shutdown_background();
    let error =
        ours.block_on(async { tokio::time::timeout(PATIENCE, call).await.unwrap().unwrap() }).unwrap_err();
    assert!(matches!(error, Error::ConnectionLost { .. }), "{error}");
}
