//! Overload of a server whose limit on calls in flight follows its capacity, in simulated time.

use std::sync::Arc;
use std::time::Duration;

use rpc_client::{Client, connect_fn};
use rpc_server::{Context, Limits, Server, Service, Status, in_memory};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};

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
