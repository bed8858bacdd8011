//! Calls to given addresses: results, errors, deadlines, balancing, retries.

use std::collections::BTreeSet;
use std::time::Duration;

use rpc_client::{Client, Code, Error, Format};

use crate::servers::{Misbehaviour, PATIENCE, TestServer, client, eventually, misbehaving};

/// Returns an address without a listener.
async fn nowhere() -> std::net::SocketAddr {
    tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

async fn who(client: &Client) -> Result<String, Error> {
    client.call("who", &()).await
}

#[tokio::test]
async fn a_call_gives_its_result_in_both_formats() {
    let server = TestServer::start("a").await;
    for format in [Format::JSON, Format::POSTCARD] {
        let client = client([server.addr]).format(format).connect().await.unwrap();
        let text: String = client.call("echo", "hello").await.unwrap();
        assert_eq!(text, "hello");
    }
}

#[tokio::test]
async fn an_error_says_what_happened() {
    let server = TestServer::start("a").await;
    let client = client([server.addr]).connect().await.unwrap();
    let missing = client.call::<_, ()>("missing", &()).await.unwrap_err();
    assert_eq!((missing.code(), missing.may_have_been_applied()), (Code::NOT_FOUND, true));
    assert_eq!(missing.to_string(), "test.missing: NOT_FOUND: no such thing");
    let upstream = client.call::<_, ()>("upstream_late", &()).await.unwrap_err();
    assert_eq!(upstream.to_string(), "test.upstream_late: DEADLINE_EXCEEDED: the database is slow");
    let unknown = client.call::<_, ()>("nothing", &()).await.unwrap_err();
    assert_eq!(unknown.code(), Code::UNIMPLEMENTED);
    let wrong = client.call::<_, u32>("echo", "text").await.unwrap_err();
    assert!(matches!(wrong, Error::Result { .. }), "{wrong}");
    let long = client.call::<_, String>("echo", &"x".repeat(5 << 20)).await.unwrap_err();
    assert!(matches!(long, Error::Argument { .. }) && !long.may_have_been_applied(), "{long}");
    let name = "m".repeat(300);
    let name = client.call::<_, ()>(&name, &()).await.unwrap_err();
    assert_eq!(name.code(), Code::INVALID_ARGUMENT);
    let stats = client.stats();
    assert_eq!((stats.calls, stats.ok, stats.failed, stats.retried), (6, 0, 6, 0));
}

#[tokio::test]
async fn without_an_instance_a_call_waits_a_while_and_fails_clearly() {
    let patience = Duration::from_millis(20);
    let lonely = client([]).wait_for_instance(patience).connect().await.unwrap();
    let error = who(&lonely).await.unwrap_err();
    assert!(matches!(error, Error::NoInstances { .. }), "{error}");

    let dead =
        client([nowhere().await]).wait_for_instance(Duration::from_millis(200)).connect().await.unwrap();
    let error = who(&dead).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }) && !error.may_have_been_applied(), "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn a_call_that_would_wait_for_ever_for_an_instance_ends_with_its_deadline() {
    let lonely = client([]).wait_for_instance(Duration::MAX).connect().await.unwrap();
    let error = lonely.call::<_, ()>("who", &()).deadline(Duration::from_millis(20)).await.unwrap_err();
    assert!(matches!(error, Error::NoInstances { .. }), "{error}");
}

#[tokio::test]
async fn a_call_waits_for_an_instance_that_comes() {
    let addr = nowhere().await;
    let client = client([addr]).connect().await.unwrap();
    let (answer, server) = tokio::join!(who(&client), TestServer::start_at("late", addr));
    assert_eq!(answer.unwrap(), "late");
    drop(server);
}

#[tokio::test]
async fn a_call_ends_with_its_deadline_and_so_does_its_handler() {
    let mut server = TestServer::start("a").await;
    let client = client([server.addr]).connect().await.unwrap();
    let call = client.call::<_, ()>("hang", &()).deadline(Duration::from_millis(50));
    let error = call.await.unwrap_err();
    assert!(matches!(error, Error::Deadline { sent: true, .. }), "{error}");
    server.sees("started").await;
    server.sees("dropped").await;
}

#[tokio::test]
async fn dropping_a_call_cancels_it() {
    let mut server = TestServer::start("a").await;
    let client = client([server.addr]).connect().await.unwrap();
    tokio::select! {
        _ = client.call::<_, ()>("hang", &()).into_future() => panic!("it hangs"),
        () = server.sees("started") => {}
    }
    server.sees("dropped").await;
    assert_eq!(client.stats().calls, 0);
}

#[tokio::test]
async fn calls_are_spread_over_all_instances() {
    let servers = [TestServer::start("a").await, TestServer::start("b").await, TestServer::start("c").await];
    let client = client(servers.iter().map(|server| server.addr)).connect().await.unwrap();
    let mut seen = BTreeSet::new();
    eventually(async || {
        seen.insert(who(&client).await.unwrap());
        seen.len() == 3
    })
    .await;
    let calls: Vec<_> = (0..90)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.call::<_, String>("slow_who", &20).await.unwrap() })
        })
        .collect();
    let mut counts = std::collections::BTreeMap::<_, u32>::new();
    for call in calls {
        *counts.entry(call.await.unwrap()).or_default() += 1;
    }
    assert!(counts.values().all(|count| *count >= 20), "{counts:?}");
    let stats = client.stats();
    assert_eq!(stats.by_instance.values().map(|instance| instance.ok).sum::<u64>(), stats.ok);
}

#[tokio::test]
async fn a_dead_instance_is_avoided_and_taken_back_when_it_answers() {
    let (a, b) = (TestServer::start("a").await, TestServer::start("b").await);
    let addr = a.addr;
    let client = client([addr, b.addr]).connect().await.unwrap();
    eventually(async || who(&client).await.unwrap() == "a").await;
    drop(a);
    for _ in 0..50 {
        let answer: String = client.call("who", &()).idempotent().await.unwrap();
        assert_eq!(answer, "b");
    }
    let _back = TestServer::start_at("a again", addr).await;
    eventually(async || who(&client).await.unwrap() == "a again").await;
}

#[tokio::test]
async fn a_lost_connection_is_an_error_unless_the_call_is_idempotent() {
    let bad = misbehaving("bad", Misbehaviour::CloseAfterRequest).await;
    let good = TestServer::start("good").await;
    let client = client([bad, good.addr]).connect().await.unwrap();
    let mut lost = None;
    eventually(async || {
        lost = who(&client).await.err();
        lost.is_some()
    })
    .await;
    let lost = lost.unwrap();
    assert!(matches!(lost, Error::ConnectionLost { .. }) && lost.may_have_been_applied(), "{lost}");
    let before = client.stats().retried;
    eventually(async || {
        assert_eq!(client.call::<_, String>("who", &()).idempotent().await.unwrap(), "good");
        client.stats().retried > before
    })
    .await;
}

#[tokio::test]
async fn a_call_that_was_not_run_is_tried_elsewhere_even_if_not_idempotent() {
    let leaving = misbehaving("leaving", Misbehaviour::GoAwayWithoutRunning).await;
    let good = TestServer::start("good").await;
    let client = client([leaving, good.addr]).connect().await.unwrap();
    eventually(async || {
        assert_eq!(who(&client).await.unwrap(), "good");
        client.stats().retried > 0
    })
    .await;
}

#[tokio::test]
async fn a_server_that_falls_silent_is_given_up() {
    let hung = misbehaving("hung", Misbehaviour::NeverAnswer).await;
    let client = client([hung]).keepalive(Duration::from_millis(20)).connect().await.unwrap();
    let error = who(&client).await.unwrap_err();
    assert!(matches!(error, Error::ConnectionLost { .. }), "{error}");
}

#[tokio::test]
async fn an_idempotent_call_that_a_hung_server_keeps_is_tried_elsewhere() {
    let hung = misbehaving("hung", Misbehaviour::NeverAnswer).await;
    let good = TestServer::start("good").await;
    let builder = client([hung, good.addr]).keepalive(Duration::from_millis(20));
    let client = builder.connect().await.unwrap();
    eventually(async || {
        assert_eq!(client.call::<_, String>("who", &()).idempotent().await.unwrap(), "good");
        client.stats().retried > 0
    })
    .await;
}

#[tokio::test]
async fn a_server_that_breaks_the_protocol_is_given_up() {
    let mad = misbehaving("mad", Misbehaviour::Babble).await;
    let client = client([mad]).connect().await.unwrap();
    let error = who(&client).await.unwrap_err();
    assert!(matches!(error, Error::ConnectionLost { .. }), "{error}");
    assert!(error.to_string().contains("the server broke the protocol"), "{error}");
}

/// Returns the number of runs of one idempotent call of `who`, which fails.
async fn runs(builder: rpc_client::ClientBuilder) -> u64 {
    let client = builder.connect().await.unwrap();
    let error = client.call::<_, String>("who", &()).idempotent().await.unwrap_err();
    assert!(error.may_have_been_applied() && error.code() == Code::UNAVAILABLE, "{error}");
    client.stats().by_instance.values().map(|instance| instance.sent).sum()
}

#[tokio::test]
async fn a_call_that_kills_its_workers_kills_three_at_most_by_default() {
    let mut fragile = Vec::new();
    for name in ["a", "b", "c", "d", "e", "f"] {
        fragile.push(misbehaving(name, Misbehaviour::CloseAfterRequest).await);
    }
    let fragile = || client(fragile.iter().copied());
    assert_eq!(runs(fragile()).await, 3);
    assert_eq!(runs(fragile().max_retries(0)).await, 1);
    assert_eq!(runs(fragile().max_retries(4)).await, 5);
    assert_eq!(
        runs(fragile().retry_budget(1, 0)).await,
        2,
        "the budget of the client ends before that of the call"
    );
}

#[tokio::test]
async fn a_call_that_is_answered_unavailable_runs_three_times_at_most() {
    let busy = TestServer::start("busy").await;
    let client = client([busy.addr]).connect().await.unwrap();
    let error = client.call::<_, ()>("unavailable", &()).idempotent().await.unwrap_err();
    assert_eq!((error.code(), client.stats().retried), (Code::UNAVAILABLE, 2));
}

#[tokio::test]
async fn a_server_that_never_reads_is_given_up_though_it_pings() {
    let deaf = misbehaving("deaf", Misbehaviour::PingWithoutReading).await;
    let client = client([deaf]).keepalive(Duration::from_millis(20)).connect().await.unwrap();
    // More than the sockets hold, and more than one queue: the second call waits for room.
    let long = "x".repeat(3 << 20);
    let calls: Vec<_> = (0..8)
        .map(|_| {
            let (client, long) = (client.clone(), long.clone());
            tokio::spawn(async move { client.call::<_, String>("echo", &long).await })
        })
        .collect();
    let mut reasons = Vec::new();
    for call in calls {
        reasons.push(call.await.unwrap().unwrap_err().to_string());
    }
    assert!(reasons.iter().any(|reason| reason.contains("the server does not read")), "{reasons:?}");
}

#[tokio::test]
async fn a_call_that_finds_every_queue_full_waits_for_room_and_no_longer_than_its_deadline() {
    let mut deaf = Vec::new();
    for name in ["a", "b", "c"] {
        deaf.push(misbehaving(name, Misbehaviour::NeverRead).await);
    }
    let client = client(deaf).max_queued(1).keepalive(PATIENCE).connect().await.unwrap();
    // Each connection takes one call that is being written, longer than the sockets hold, and one that waits.
    let long = "x".repeat(3 << 20);
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let (client, long) = (client.clone(), long.clone());
        calls.spawn(async move { client.call::<_, String>("echo", &long).await });
    }
    let sent = || client.stats().by_instance.values().map(|instance| instance.sent).sum::<u64>();
    eventually(async || sent() == 6).await;
    for _ in 0..3 {
        let call = client.call::<_, String>("echo", "short").deadline(Duration::from_millis(50));
        let error = call.await.unwrap_err();
        assert!(matches!(error, Error::Deadline { sent: false, .. }), "{error}");
    }
    let call = client.call::<_, String>("echo", "short").deadline(PATIENCE).fail_fast();
    let error = call.await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "not at once: {error}");
    assert!(calls.try_join_next().is_none(), "no server has answered");
}

#[tokio::test]
async fn large_calls_in_both_directions_do_not_lock_up() {
    let server = TestServer::start("a").await;
    // The faster format, and a deadline that a slow machine can keep.
    let builder = client([server.addr]).format(Format::POSTCARD).deadline(PATIENCE);
    let client = builder.connect().await.unwrap();
    let text = "x".repeat(3 << 20);
    let calls: Vec<_> = (0..6)
        .map(|_| {
            let (client, text) = (client.clone(), text.clone());
            tokio::spawn(async move { client.call::<_, String>("echo", &text).await.unwrap() == text })
        })
        .collect();
    for call in calls {
        assert!(call.await.unwrap());
    }
}

#[tokio::test]
async fn calls_over_the_limit_of_a_connection_wait_for_room() {
    let server = TestServer::start("a").await;
    let client = client([server.addr]).max_in_flight(2).connect().await.unwrap();
    let calls: Vec<_> = (0..10)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.call::<_, String>("slow_who", &5).await.unwrap() })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), "a");
    }
}

#[tokio::test]
async fn no_call_fails_while_servers_are_replaced_one_by_one() {
    let mut servers = vec![TestServer::start("0").await, TestServer::start("1").await];
    let client = client(servers.iter().map(|server| server.addr)).connect().await.unwrap();
    let calls: Vec<_> = (0..8)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                for _ in 0..100 {
                    client.call::<_, String>("slow_who", &1).await.unwrap();
                }
            })
        })
        .collect();
    for name in ["2", "3", "4", "5"] {
        let old = servers.remove(0);
        let addr = old.addr;
        old.stop().await;
        servers.push(TestServer::start_at(name, addr).await);
        eventually(async || client.call::<_, String>("who", &()).await.unwrap() == name).await;
    }
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(client.stats().failed, 0);
}

#[tokio::test]
async fn a_server_that_accepts_and_does_not_answer_is_called_so() {
    // The system accepts for a process that is stopped.
    let stopped = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = stopped.local_addr().unwrap().to_string();
    let client = Client::direct("test", [&addr]).wait_for_instance(Duration::from_millis(1_500));
    let client = client.connect().await.unwrap();
    let Err(Error::Unreachable { reason, .. }) = client.call::<_, String>("echo", "x").await else {
        panic!("reached")
    };
    assert!(reason.starts_with(&format!("{addr}: it accepts connections and ")), "{reason}");
}
