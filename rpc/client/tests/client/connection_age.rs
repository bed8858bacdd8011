//! Connections that end because they are too old, in simulated time: no call is lost.

use std::time::Duration;

use rpc_client::Client;
use rpc_server::{Context, Limits, Server, Service, Status};
use tokio::task::JoinSet;
use tokio::time::sleep;

#[tokio::test(start_paused = true)]
async fn no_call_is_lost_when_a_connection_reaches_its_age() {
    let work = |millis: u64, _: Context| async move {
        sleep(Duration::from_millis(millis)).await;
        Ok::<_, Status>(millis)
    };
    let mut limits = Limits::default();
    limits.connection_age = Some(Duration::from_secs(10));
    let server = Server::new(Service::builder("test").method("work", work).build()).limits(limits);
    let metrics = server.metrics();
    let connector = server.in_memory();
    let client = Client::in_memory("test", move || connector.connect()).seed(1).connect().await.unwrap();
    let mut calls = JoinSet::new();
    for number in 0..6_000_u64 {
        sleep(Duration::from_millis(10)).await;
        let client = client.clone();
        // Some are longer than the rest of the connection's time.
        let millis = if number % 10 == 0 { 3_000 } else { number % 50 };
        calls.spawn(async move { client.call::<_, u64>("work", &millis).await });
    }
    for answer in calls.join_all().await {
        answer.unwrap();
    }
    let opened = metrics.opened.get();
    assert!((5..=7).contains(&opened), "{opened} connections in a minute");
}
