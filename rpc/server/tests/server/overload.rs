//! More calls than the server has time for: it runs those that can be answered in time. Tests count calls, not time.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use rpc_server::{Code, Context, Format, Service, Status};
use rpc_wire::{CallId, Frame};
use tokio::time::Instant;

use crate::peer::{Answer, RawClient, Running, limits, ok};

/// Counts of the calls of `compute`.
#[derive(Debug, Default)]
struct Runs {
    all: AtomicUsize,
    /// Calls that ended after their deadline although the machine did not hold them up.
    in_vain: AtomicUsize,
}

/// Starts a server whose method `compute` keeps its thread for so many milliseconds.
async fn start() -> (Running, Arc<Runs>) {
    let runs = Arc::new(Runs::default());
    let counted = runs.clone();
    let compute = move |millis: u64, cx: Context| {
        counted.all.fetch_add(1, Relaxed);
        let (started, work) = (Instant::now(), Duration::from_millis(millis));
        thread::sleep(work);
        let is_late = cx.time_left().is_some_and(|left| left.is_zero());
        if is_late && started.elapsed() < work * 3 / 2 {
            counted.in_vain.fetch_add(1, Relaxed);
        }
        async { Ok::<_, Status>(()) }
    };
    let echo = |text: String, _: Context| async move { Ok::<_, Status>(text) };
    let service = Service::builder("test").method("compute", compute).method("echo", echo).build();
    (Running::serve(limits(|_| ()), |_| service).await, runs)
}

#[tokio::test]
async fn calls_whose_deadline_passes_while_they_wait_do_not_start() {
    let (server, runs) = start().await;
    let mut client = RawClient::greeted(server.addr, Format::JSON).await;
    for id in 1..=200 {
        client.request_within(id, "compute", &50, Some(Duration::from_millis(100)));
    }
    client.send().await;
    assert_eq!(client.answer().await, ok(1, b"null"));
    for id in 2..=200 {
        match client.answer().await {
            Answer::Ok(of, _) | Answer::Failed(of, Code::DEADLINE_EXCEEDED | Code::RESOURCE_EXHAUSTED, _) => {
                assert_eq!(of, CallId(id));
            }
            other => panic!("{other:?}"),
        }
    }
    let all = runs.all.load(Relaxed);
    assert!(all <= 3, "{all} calls ran");
    assert_eq!(client.call(201, "echo", &"well").await, ok(201, b"\"well\""));
}

#[tokio::test]
async fn cancels_behind_waiting_calls_are_heard_before_these_start() {
    let (server, runs) = start().await;
    let mut client = RawClient::greeted(server.addr, Format::JSON).await;
    for id in 1..=100 {
        client.request(id, "compute", &5);
    }
    for id in 2..=100 {
        client.push(&Frame::Cancel(CallId(id)));
    }
    client.request(101, "echo", &"next");
    client.send().await;
    assert_eq!(client.answer().await, ok(1, b"null"));
    assert_eq!(client.answer().await, ok(101, b"\"next\""), "no reply follows a cancel");
    assert_eq!(runs.all.load(Relaxed), 1);
}

#[tokio::test]
async fn cancels_that_arrive_while_calls_wait_are_heard_before_these_start() {
    let (server, runs) = start().await;
    let mut client = RawClient::greeted(server.addr, Format::JSON).await;
    for id in 1..=100 {
        client.request(id, "compute", &5);
    }
    client.send().await;
    assert_eq!(client.answer().await, ok(1, b"null"));
    for id in 2..=100 {
        client.push(&Frame::Cancel(CallId(id)));
    }
    client.request(101, "echo", &"next");
    client.send().await;
    while client.answer().await != ok(101, b"\"next\"") {}
    let all = runs.all.load(Relaxed);
    assert!(all <= 20, "{all} calls ran");
}

/// Sends eight times the load: 800 calls of 10 ms in a second. Each deadline is a little later than the one before, so that
/// after late calls are dropped the next call has hardly any time left.
async fn eight_times_the_load(connections: u64) {
    let (server, runs) = start().await;
    let mut clients = Vec::new();
    for _ in 0..connections {
        clients.push(RawClient::greeted(server.addr, Format::JSON).await);
    }
    let per_connection = 800 / connections;
    for (client, offset) in clients.iter_mut().zip(0..) {
        for id in 1..=per_connection {
            let time = 100_000 + (id * connections + offset) * 1_250;
            client.request_within(id, "compute", &10, Some(Duration::from_micros(time)));
        }
        client.send().await;
    }
    for client in &mut clients {
        for _ in 1..=per_connection {
            assert_ne!(client.answer().await, Answer::Closed);
        }
    }
    let (all, in_vain) = (runs.all.load(Relaxed), runs.in_vain.load(Relaxed));
    assert!(all >= 10, "{all} calls ran");
    assert!(in_vain * 3 <= all, "{in_vain} of {all} calls ran in vain");
}

#[tokio::test]
async fn eight_times_the_load_of_one_client_runs_few_calls_in_vain() {
    eight_times_the_load(1).await;
}

#[tokio::test]
async fn eight_times_the_load_of_many_clients_runs_few_calls_in_vain() {
    eight_times_the_load(8).await;
}

#[tokio::test]
async fn waiting_calls_with_enough_time_are_run() {
    let (server, runs) = start().await;
    let mut client = RawClient::greeted(server.addr, Format::JSON).await;
    for id in 1..=30 {
        client.request_within(id, "compute", &5, Some(Duration::from_secs(20)));
    }
    client.send().await;
    for id in 1..=30 {
        assert_eq!(client.answer().await, ok(id, b"null"));
    }
    assert_eq!(runs.all.load(Relaxed), 30);
}

#[tokio::test]
async fn a_call_that_did_not_wait_runs_even_if_its_method_is_usually_too_slow() {
    let (server, runs) = start().await;
    let mut client = RawClient::greeted(server.addr, Format::JSON).await;
    for id in 1..=5 {
        client.request_within(id, "compute", &30, Some(Duration::from_millis(40)));
        client.send().await;
        assert_eq!(client.answer().await, ok(id, b"null"));
    }
    assert_eq!(runs.all.load(Relaxed), 5);
}

#[tokio::test]
async fn a_handler_that_would_continue_after_its_deadline_is_dropped() {
    // The second handler is due for its next poll when the first has kept the thread beyond the deadline.
    let went_on = Arc::new(AtomicUsize::new(0));
    let counted = went_on.clone();
    let service = Service::builder("test")
        .method("later", move |(): (), _: Context| {
            let counted = counted.clone();
            async move {
                tokio::task::yield_now().await;
                counted.fetch_add(1, Relaxed);
                thread::sleep(Duration::from_millis(300));
                Ok::<_, Status>(())
            }
        })
        .build();
    let server = Running::serve(limits(|_| ()), |_| service).await;
    let mut client = RawClient::greeted(server.addr, Format::JSON).await;
    for id in 1..=50 {
        client.request_within(id, "later", &(), Some(Duration::from_millis(500)));
    }
    client.send().await;
    for _ in 1..=50 {
        assert_ne!(client.answer().await, Answer::Closed);
    }
    let went_on = went_on.load(Relaxed);
    assert!((1..=5).contains(&went_on), "{went_on} handlers went on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handlers_in_block_in_place_run_side_by_side() {
    let all_there = Arc::new(std::sync::Barrier::new(8));
    let meet = move |(): (), _: Context| {
        let all_there = all_there.clone();
        // Slow enough for its connection to take turns with others.
        tokio::task::block_in_place(|| {
            all_there.wait();
            thread::sleep(Duration::from_millis(5));
        });
        async { Ok::<_, Status>(()) }
    };
    let service = Service::builder("test").method("meet", meet).build();
    let server = Running::serve(limits(|_| ()), |_| service).await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(RawClient::greeted(server.addr, Format::JSON).await);
    }
    for id in 1..=3 {
        for client in &mut clients {
            client.request(id, "meet", &());
            client.send().await;
        }
        for client in &mut clients {
            assert_eq!(client.answer().await, ok(id, b"null"));
        }
    }
}
