//! Layers of tower around a whole server.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use futures_util::stream;
use rpc_server::layer::Request;
use rpc_server::{Code, Context, Format, Server, Service, Status};
use serde_json::json;
use tokio::sync::Semaphore;
use tower::limit::ConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;
use tower::util::MapRequestLayer;

use crate::peer::{Answer, RawClient, Running, ok, refused};
use crate::streams::message;

/// Layer that adds a letter to the trail of a call.
fn trail(letter: char) -> MapRequestLayer<impl Fn(Request) -> Request + Clone + Send + Sync + 'static> {
    MapRequestLayer::new(move |request: Request| {
        let before =
            request.context().extension::<String>().map_or_else(String::new, |trail| (*trail).clone());
        request.context().insert_extension(format!("{before}{letter}"));
        request
    })
}

/// Service whose methods tell the layers that a call has passed, and its name.
fn named(name: &'static str) -> Service {
    let trail = |(): (), context: Context| async move {
        let trail = context.extension::<String>().map_or_else(String::new, |trail| (*trail).clone());
        Ok::<_, Status>(format!("{} {trail}", context.service()))
    };
    let count = |(): (), _: Context| async { Ok::<_, Status>(stream::iter([Ok(1_u32), Ok(2)])) };
    Service::builder(name).method("trail", trail).server_stream("count", count).build()
}

async fn greeted(server: &Running) -> RawClient {
    let mut client = RawClient::connect(server.addr).await;
    client.hello(2, Format::JSON, "");
    client.send().await;
    assert_eq!(client.answer().await, Answer::Hello("me".into()));
    client
}

#[tokio::test]
async fn the_layers_of_a_server_are_around_all_services_and_outside_of_theirs() {
    let server = Running::run(|_| {
        let server = Server::new(named("shop").layer(trail('i'))).layer(trail('c')).layer(trail('b'));
        server.add_service(named("stock")).layer(trail('a'))
    })
    .await;
    let mut client = greeted(&server).await;
    assert_eq!(client.call(1, "shop/trail", &()).await, ok(1, b"\"shop abci\""));
    assert_eq!(client.call(2, "stock/trail", &()).await, ok(2, b"\"stock abc\""));
    for (id, method) in [(3, "shop/count"), (4, "stock/count")] {
        client.push(&rpc_wire::Frame::Request(rpc_wire::Request {
            method,
            stream: true,
            payload: b"null",
            ..rpc_wire::Request::new(rpc_wire::CallId(id))
        }));
        client.send().await;
        let answers = [client.answer().await, client.answer().await, client.answer().await];
        assert_eq!(answers, [message(id, "1"), message(id, "2"), ok(id, b"")]);
    }
}

#[tokio::test]
async fn a_limit_around_a_server_is_one_for_all_services_but_not_for_health() {
    let permits = Arc::new(Semaphore::new(0));
    let begun = Arc::new(AtomicUsize::new(0));
    let (taken, counted) = (Arc::clone(&permits), Arc::clone(&begun));
    let wait = move |(): (), _: Context| {
        let permits = Arc::clone(&taken);
        counted.fetch_add(1, Relaxed);
        async move {
            permits.acquire().await.map_err(|error| Status::internal(error.to_string()))?.forget();
            Ok::<_, Status>(())
        }
    };
    let waiting = Service::builder("waiting").method("wait", wait).build();
    let server = Running::run(|_| {
        let server = Server::new(waiting).add_service(named("shop"));
        server.layer(ConcurrencyLimitLayer::new(1)).layer(LoadShedLayer::new())
    })
    .await;
    let mut client = greeted(&server).await;
    client.request(1, "waiting/wait", &());
    assert_eq!(client.call(2, "shop/trail", &()).await, refused(2, Code::RESOURCE_EXHAUSTED));
    let health = json!({ "service": "" });
    assert_eq!(client.call(3, "rpc.health/check", &health).await, ok(3, b"{\"status\":\"SERVING\"}"));
    assert_eq!(begun.load(Relaxed), 1);
    permits.add_permits(1);
    assert_eq!(client.answer().await, ok(1, b"null"));
    assert_eq!(client.call(4, "shop/trail", &()).await, ok(4, b"\"shop \""));
}

#[tokio::test]
async fn values_of_a_call_are_dropped_with_it_while_its_connection_lives() {
    let value = Arc::new(());
    let shared = Arc::clone(&value);
    let keep = move |(): (), context: Context| {
        context.insert_extension(Arc::clone(&shared));
        async { Ok::<_, Status>(()) }
    };
    let service = Service::builder("shop").method("keep", keep).build();
    let server = Running::run(|_| Server::new(service)).await;
    let mut client = greeted(&server).await;
    assert_eq!(client.call(1, "shop/keep", &()).await, ok(1, b"null"));
    assert_eq!(Arc::strong_count(&value), 2, "here and in the handler");
}
