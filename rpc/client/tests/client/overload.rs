//! Overload of a server whose limit on calls in flight follows its capacity, in simulated time.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use rpc_client::{Client, connect_fn};
use rpc_server::{Context, Limits, Server, Service, Status, in_memory};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep};

/// Offers four times what a server can do for two seconds, and returns the part of its capacity that ended in time in the last.
async fn good_part(is_adaptive: bool) -> f64 {
    let places = Arc::new(Semaphore::new(4));
    let work = move |(): (), _: Context| {
        let places = Arc::clone(&places);
        async move {
            let _place = places.acquire().await.map_err(|error| Status::internal(error.to_string()))?;
            sleep(Duration::from_millis(8)).await;
            Ok::<_, Status>(())
        }
    };
    let mut limits = Limits::default();
    limits.adaptive = is_adaptive;
    let (connector, listener) = in_memory();
    let server = Server::new(Service::builder("test").method("work", work).build()).limits(limits);
    tokio::spawn(server.serve_in_memory(listener, std::future::pending()));
    let via = connect_fn(move |_addr| std::future::ready(connector.connect()));
    let client =
        Client::direct("test", ["in-memory:1"]).via(via).max_retries(0).seed(1).connect().await.unwrap();
    let mut calls = JoinSet::new();
    let mut tick = interval(Duration::from_millis(1));
    for millis in 0..2_000 {
        tick.tick().await;
        for _ in 0..2 {
            let client = client.clone();
            calls.spawn(async move {
                let answer = client.call::<_, ()>("work", &()).deadline(Duration::from_millis(50)).await;
                answer.is_ok() && millis >= 1_000
            });
        }
    }
    let good = calls.join_all().await.into_iter().filter(|good| *good).count();
    f64::from(u32::try_from(good).unwrap()) / 500.0
}

#[tokio::test(start_paused = true)]
async fn an_adaptive_limit_keeps_nearly_all_of_the_capacity() {
    let good = good_part(true).await;
    assert!(good >= 0.85, "{good:.2} of the capacity");
}

#[tokio::test(start_paused = true)]
async fn without_one_all_calls_end_late() {
    let good = good_part(false).await;
    assert!(good <= 0.2, "{good:.2} of the capacity: the test is too kind");
}

#[tokio::test(start_paused = true)]
async fn a_queue_carries_a_server_over_a_burst_that_it_would_refuse() {
    for (queue, expected) in [(0, 4), (32, 20)] {
        let work = |(): (), _: Context| async {
            sleep(Duration::from_millis(10)).await;
            Ok::<_, Status>(())
        };
        let mut limits = Limits::default();
        (limits.in_flight, limits.in_flight_per_peer) = (4, Some(4));
        limits.queue = queue;
        let server = Server::new(Service::builder("test").method("work", work).build()).limits(limits);
        let connector = server.in_memory();
        let client =
            Client::in_memory("test", move || connector.connect()).max_retries(0).connect().await.unwrap();
        let mut calls = JoinSet::new();
        for _ in 0..20 {
            let client = client.clone();
            calls.spawn(async move { client.call::<_, ()>("work", &()).await.is_ok() });
        }
        let done = calls.join_all().await.into_iter().filter(|done| *done).count();
        assert_eq!(done, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_nobody_polls_while_they_wait_for_room_hold_up_no_others() {
    const CALLS: usize = 100;
    let work = |_: String, _: Context| async {
        sleep(Duration::from_millis(8)).await;
        Ok::<_, Status>(())
    };
    let mut limits = Limits::default();
    limits.argument_bytes = 1_000;
    let server =
        Server::new(Service::builder("test").method("work", work).build()).limits(limits).in_memory();
    let client = Client::in_memory("test", move || server.connect()).connect().await.unwrap();
    let argument = "x".repeat(300);
    let call = |_| client.call::<_, ()>("work", &argument).deadline(Duration::from_secs(60)).into_future();
    let mut calls = pin!(stream::iter(0..CALLS).map(call).buffer_unordered(CALLS));
    let mut ended = 0;
    while let Some(answer) = calls.next().await {
        answer.unwrap();
        ended += 1;
        // The others are not polled meanwhile.
        let begun = Instant::now();
        call(0).await.unwrap();
        assert!(begun.elapsed() < Duration::from_millis(200), "{:?}", begun.elapsed());
    }
    assert_eq!(ended, CALLS);
}

#[tokio::test(start_paused = true)]
async fn calls_that_wait_for_room_for_their_arguments_are_woken_when_it_is_their_turn() {
    const CALLS: usize = 200;
    let (tell, mut started) = mpsc::unbounded_channel();
    let work = move |(number, _): (usize, String), _: Context| {
        let _ = tell.send(number);
        async {
            sleep(Duration::from_millis(8)).await;
            Ok::<_, Status>(())
        }
    };
    let mut limits = Limits::default();
    limits.argument_bytes = 1_000;
    let server =
        Server::new(Service::builder("test").method("work", work).build()).limits(limits).in_memory();
    let client = Client::in_memory("test", move || server.connect()).connect().await.unwrap();
    let polls = Arc::new(AtomicUsize::new(0));
    let calls: Vec<_> = (0..CALLS)
        .map(|number| {
            let (client, polls) = (client.clone(), Arc::clone(&polls));
            tokio::spawn(async move {
                let argument = (number, "x".repeat(300));
                let mut call = pin!(client.call::<_, ()>("work", &argument).into_future());
                poll_fn(|cx| {
                    polls.fetch_add(1, Ordering::Relaxed);
                    call.as_mut().poll(cx)
                })
                .await
            })
        })
        .collect();
    sleep(Duration::from_millis(20)).await;
    // They wait, behind 50 others and between more of them.
    let is_cancelled = |number: usize| number >= 50 && number.is_multiple_of(3);
    let mut others = Vec::new();
    for (number, call) in calls.into_iter().enumerate() {
        if is_cancelled(number) { call.abort() } else { others.push(call) }
    }
    for call in others {
        assert!(call.await.is_ok_and(|answer| answer.is_ok()));
    }
    let order: Vec<_> = std::iter::from_fn(|| started.try_recv().ok()).collect();
    assert!(order.iter().copied().eq((0..CALLS).filter(|number| !is_cancelled(*number))));
    let polls = polls.load(Ordering::Relaxed);
    assert!(polls < 10 * CALLS, "{polls} polls");
}
