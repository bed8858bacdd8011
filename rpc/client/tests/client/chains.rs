//! Calls made inside calls: each ends no later than the one that it is made for, without being told.

use std::thread;
use std::time::Duration;

use rpc_client::{Client, Error, connect_fn};
use rpc_server::{Context, Server, Service, ServiceBuilder, Status, in_memory};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Time that each handler of a chain takes before it asks the next one.
const STEP: Duration = Duration::from_millis(100);

/// Serves the methods in memory, and returns a client. Time moves only while everybody waits.
async fn serve(methods: impl FnOnce(ServiceBuilder) -> ServiceBuilder) -> Client {
    let (connector, listener) = in_memory();
    let service = methods(Service::builder("test")).build();
    tokio::spawn(Server::new(service).serve_in_memory(listener, std::future::pending()));
    let via = connect_fn(move |_addr| std::future::ready(connector.connect()));
    Client::direct("test", ["in-memory:1"]).via(via).seed(1).connect().await.unwrap()
}

/// Serves the end of a chain: `time_left` tells the milliseconds that are left, and `hang` tells when it was dropped.
async fn last() -> (Client, mpsc::UnboundedReceiver<Instant>) {
    let (tell, dropped) = mpsc::unbounded_channel();
    let hang = move |(): (), _: Context| {
        let told = Tell(tell.clone());
        async move {
            std::future::pending::<()>().await;
            drop(told);
            Ok::<_, Status>(0)
        }
    };
    let client = serve(|methods| methods.method("time_left", time_left).method("hang", hang)).await;
    (client, dropped)
}

async fn time_left((): (), cx: Context) -> Result<Option<u64>, Status> {
    Ok(cx.time_left().map(millis))
}

/// Serves `ask`, which waits and then calls a method of the next service of the chain.
async fn before(next: Client) -> Client {
    let ask = move |method: String, _: Context| {
        let next = next.clone();
        async move {
            tokio::time::sleep(STEP).await;
            let (own, rest) = method.split_once(' ').unwrap_or((&method, ""));
            let answer = match rest {
                "" => next.call::<_, u64>(own, &()).await,
                rest => next.call::<_, u64>(own, rest).await,
            };
            answer.map_err(|error| Status::internal(error.to_string()))
        }
    };
    serve(|methods| methods.method("ask", ask)).await
}

struct Tell(mpsc::UnboundedSender<Instant>);

impl Drop for Tell {
    fn drop(&mut self) {
        let _ = self.0.send(now());
    }
}

fn now() -> Instant {
    Instant::now()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap()
}

/// Checks a time that each step of a chain rounds down by a few milliseconds, and only the first one up.
#[track_caller]
fn assert_about(time: u64, expected: u64) {
    assert!((expected - 8..=expected + 1).contains(&time), "{time}, not {expected}");
}

#[tokio::test(start_paused = true)]
async fn the_last_of_a_chain_has_what_the_others_have_left() {
    let (last, _) = last().await;
    let middle = before(last).await;
    let first = before(middle).await;
    let call = first.call::<_, u64>("ask", "ask time_left").deadline(Duration::from_secs(1));
    assert_about(call.await.unwrap(), 800);
}

#[tokio::test(start_paused = true)]
async fn at_the_deadline_of_the_first_call_the_last_one_is_dropped() {
    let (last, mut dropped) = last().await;
    let first = before(before(last).await).await;
    let begun = now();
    let error =
        first.call::<_, u64>("ask", "ask hang").deadline(Duration::from_millis(300)).await.unwrap_err();
    assert!(matches!(error, Error::Deadline { .. }), "{error}");
    assert_about(millis(dropped.recv().await.unwrap() - begun), 300);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_its_caller_gives_up_ends_along_the_whole_chain() {
    let (last, mut dropped) = last().await;
    let first = before(before(last).await).await;
    let begun = now();
    let call = first.call::<_, u64>("ask", "ask hang");
    tokio::time::timeout(Duration::from_millis(250), call.into_future()).await.unwrap_err();
    assert_about(millis(dropped.recv().await.unwrap() - begun), 250);
}

#[tokio::test(start_paused = true)]
async fn a_shorter_deadline_of_its_own_holds_and_a_longer_one_does_not() {
    let (last, _) = last().await;
    let ask = move |own: u64, _: Context| {
        let last = last.clone();
        async move {
            let call = last.call::<_, u64>("time_left", &()).deadline(Duration::from_millis(own));
            call.await.map_err(|error| Status::internal(error.to_string()))
        }
    };
    let client = serve(|methods| methods.method("ask", ask)).await;
    let call = async |own: u64| {
        client.call::<_, u64>("ask", &own).deadline(Duration::from_millis(500)).await.unwrap()
    };
    assert_about(call(50).await, 50);
    assert_about(call(60_000).await, 500);
}

#[tokio::test(start_paused = true)]
async fn a_task_of_its_own_inherits_the_deadline_in_a_scope_only() {
    let (last, _) = last().await;
    let ask = move |is_scoped: bool, cx: Context| {
        let last = last.clone();
        async move {
            let call = async move { last.call::<_, u64>("time_left", &()).await };
            let task = if is_scoped { tokio::spawn(cx.scope(call)) } else { tokio::spawn(call) };
            let answer = task.await.map_err(|error| Status::internal(error.to_string()))?;
            answer.map_err(|error| Status::internal(error.to_string()))
        }
    };
    let client = serve(|methods| methods.method("ask", ask)).await;
    let call = async |is_scoped: bool| {
        client.call::<_, u64>("ask", &is_scoped).deadline(Duration::from_millis(500)).await.unwrap()
    };
    assert_about(call(true).await, 500);
    assert!(call(false).await > 500, "the client's own default");
}

#[tokio::test]
async fn the_time_for_which_a_call_waited_its_turn_is_not_passed_on() {
    let (last, _) = last().await;
    let ask = move |blocks: u64, _: Context| {
        let last = last.clone();
        // The thread is kept: the call behind this one waits, although it has arrived.
        thread::sleep(Duration::from_millis(blocks));
        async move {
            let answer = last.call::<_, u64>("time_left", &()).await;
            answer.map_err(|error| Status::internal(error.to_string()))
        }
    };
    let client = serve(|methods| methods.method("ask", ask)).await;
    let call =
        |blocks: u64| client.call::<_, u64>("ask", &blocks).deadline(Duration::from_secs(10)).into_future();
    // The connection is made, so the next two are sent together.
    call(0).await.unwrap();
    let (_, second) = tokio::join!(call(80), call(0));
    let left = second.unwrap();
    assert!(left <= 10_001 - 80, "{left}");
}
