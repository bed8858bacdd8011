//! Several services of one server, and errors that are none of the caller's business.

use std::io;
use std::time::Duration;

use registry::Registry;
use rpc_client::Client;
use rpc_server::{
    Code, Context, Format, HealthStatus, MethodKind, Server, Service, ServiceDescriptor, Status,
};
use rpc_wire::{CallId, Frame, HealthReport, HealthRequest, Request};
use serde::Serialize;
use serde_json::json;
use tokio::time::timeout;

use crate::peer::{Answer, PATIENCE, RawClient, Running, failed, limits, ok, refused};

fn named(name: &'static str) -> Service {
    let whoami = |(): (), context: Context| async move {
        Ok::<_, Status>(format!("{}/{}", context.service(), context.method()))
    };
    Service::builder(name).method("whoami", whoami).build()
}

async fn greeted(server: &Running, service: &str) -> (RawClient, Answer) {
    let mut client = RawClient::connect(server.addr).await;
    client.hello(2, Format::JSON, service);
    client.send().await;
    let answer = client.answer().await;
    (client, answer)
}

#[tokio::test]
async fn a_client_gets_the_service_that_it_names_and_reaches_the_others_by_their_names() {
    let server = Running::run(|_| Server::new(named("shop")).add_service(named("stock"))).await;
    for service in ["shop", "stock"] {
        let (mut client, _) = greeted(&server, service).await;
        let own = format!("\"{service}/whoami\"");
        assert_eq!(client.call(1, "whoami", &()).await, ok(1, own.as_bytes()));
        assert_eq!(client.call(2, "stock/whoami", &()).await, ok(2, b"\"stock/whoami\""));
        assert_eq!(client.call(3, "bank/whoami", &()).await, refused(3, Code::UNIMPLEMENTED));
    }
    let (mut client, _) = greeted(&server, "").await;
    assert_eq!(client.call(1, "shop/whoami", &()).await, ok(1, b"\"shop/whoami\""));
    assert_eq!(client.call(2, "whoami", &()).await, refused(2, Code::UNIMPLEMENTED));
    let (_, refusal) = greeted(&server, "bank").await;
    assert!(matches!(refusal, Answer::GoAway(_, Code::NOT_FOUND)), "{refusal:?}");
}

#[tokio::test]
async fn a_server_is_announced_under_the_name_of_each_service_until_it_stops() {
    let registry = Registry::embedded().await.unwrap();
    let server = Server::new(named("shop")).add_service(named("stock")).announce(&registry);
    let server = Running::run(|_| server).await;
    for service in ["shop", "stock"] {
        let client = Client::builder(registry.clone(), service).connect().await.unwrap();
        let whoami: String = client.call("whoami", &()).await.unwrap();
        assert_eq!(whoami, format!("{service}/whoami"));
    }
    timeout(PATIENCE, server.stop()).await.unwrap().unwrap();
    for service in ["shop", "stock"] {
        assert_eq!(registry.discover(service).await.unwrap().instances.len(), 0, "{service}");
    }
}

#[tokio::test]
async fn a_service_that_the_registry_refuses_does_not_hide_the_others() {
    let registry = Registry::embedded().await.unwrap();
    // A name that no registry takes: it would be a way out of the root of the services.
    let refused = Server::new(named("..")).add_service(named("stock")).announce(&registry);
    let server = Running::run(|_| refused).await;
    let client = Client::builder(registry.clone(), "stock").connect().await.unwrap();
    assert_eq!(client.call::<_, String>("whoami", &()).await.unwrap(), "stock/whoami");
    timeout(PATIENCE, server.stop()).await.unwrap().unwrap();
    assert_eq!(registry.discover("stock").await.unwrap().instances.len(), 0);
}

#[tokio::test]
async fn a_server_does_not_start_with_names_that_are_reserved_or_that_nobody_could_call() {
    let serve = async |service: Service| {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let served = Server::new(named("shop")).add_service(service).serve(listener, async {}).await;
        served.map_err(|error| (error.kind(), error.to_string()))
    };
    let none = |(): (), _: Context| async { Ok::<_, Status>(()) };
    assert!(serve(Service::builder("eu/stock").method("rpc.none", none).build()).await.is_ok());
    for (service, method, why) in [
        ("rpc.health", "check", "the service \"rpc.health\" needs another name"),
        ("", "none", "a service has no name"),
        ("stock", "", "a method of the service \"stock\" has no name"),
        ("stock", "a/b", "the method \"a/b\" of the service \"stock\" needs another name"),
    ] {
        let (kind, error) = serve(Service::builder(service).method(method, none).build()).await.unwrap_err();
        assert_eq!(kind, io::ErrorKind::InvalidInput);
        assert!(error.contains(why), "{error}");
    }
}

#[tokio::test]
async fn a_service_that_is_added_twice_is_the_later_one() {
    let older = Service::builder("shop").build();
    let server = Running::run(|_| Server::new(older).add_service(named("shop"))).await;
    let (mut client, _) = greeted(&server, "").await;
    assert_eq!(client.call(1, "whoami", &()).await, ok(1, b"\"shop/whoami\""));
}

#[tokio::test]
async fn the_reason_of_an_internal_error_stays_on_the_server_unless_it_is_exposed() {
    for exposed in [false, true] {
        let broken = |(): (), _: Context| async {
            Err::<(), _>(io::Error::other("no file /etc/prices"))?;
            Ok::<_, rpc_server::Error>(())
        };
        let service = Service::builder("shop").method("broken", broken).build();
        let server = Running::run(|_| Server::new(service).expose_internal_errors(exposed)).await;
        let client = Client::direct("shop", [server.addr.to_string()]).connect().await.unwrap();
        let error = client.call::<_, ()>("broken", &()).await.unwrap_err();
        assert_eq!(error.code(), Code::INTERNAL);
        assert_eq!(error.to_string().contains("/etc/prices"), exposed, "{error}");
    }
}

/// Returns the result of a call that succeeds.
async fn result(
    client: &mut RawClient,
    id: u64,
    method: &str,
    argument: &impl Serialize,
) -> serde_json::Value {
    match client.call(id, method, argument).await {
        Answer::Ok(_, payload) => serde_json::from_slice(&payload).unwrap(),
        other => panic!("{method}: {other:?}"),
    }
}

#[tokio::test]
async fn the_health_of_each_service_can_be_asked_on_every_connection_and_set_by_the_server() {
    let mut health = None;
    let server = Running::run(|_| {
        let server = Server::new(named("shop")).add_service(named("stock"));
        health = Some(server.health());
        server
    })
    .await;
    let (mut client, _) = greeted(&server, "shop").await;
    health.unwrap().set("stock", HealthStatus::NotServing);
    for (id, service, status) in [
        (1, "", "SERVING"),
        (2, "shop", "SERVING"),
        (3, "stock", "NOT_SERVING"),
        (4, "bank", "SERVICE_UNKNOWN"),
    ] {
        let report = result(&mut client, id, "rpc.health/check", &json!({ "service": service })).await;
        assert_eq!(report, json!({ "status": status }), "{service}");
    }
}

/// Begins to watch the health of a service.
async fn watch(client: &mut RawClient, id: u64, service: &str) {
    let payload = json!({ "service": service }).to_string();
    let (method, payload) = ("rpc.health/watch", payload.as_bytes());
    client.push(&Frame::Request(Request { method, stream: true, payload, ..Request::new(CallId(id)) }));
    client.send().await;
}

fn told(id: u64, status: &str) -> Answer {
    Answer::Message(CallId(id), json!({ "status": status }).to_string().into_bytes())
}

#[tokio::test]
async fn who_watches_the_health_of_a_service_is_told_now_and_at_each_change() {
    let mut health = None;
    let server = Running::run(|_| {
        let server = Server::new(named("shop")).add_service(named("stock"));
        health = Some(server.health());
        server
    })
    .await;
    let health = health.unwrap();
    let (mut client, _) = greeted(&server, "shop").await;
    watch(&mut client, 1, "stock").await;
    assert_eq!(client.answer().await, told(1, "SERVING"));
    watch(&mut client, 2, "bank").await;
    assert_eq!(client.answer().await, told(2, "SERVICE_UNKNOWN"));
    health.set("stock", HealthStatus::NotServing);
    assert_eq!(client.answer().await, told(1, "NOT_SERVING"));
    // Neither is a change of what is watched.
    health.set("stock", HealthStatus::NotServing);
    health.set("shop", HealthStatus::NotServing);
    health.set("bank", HealthStatus::Serving);
    assert_eq!(client.answer().await, told(2, "SERVING"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_watches_hears_of_a_drain_before_the_connection_does_and_does_not_delay_it() {
    for _ in 0..20 {
        let endless = limits(|limits| limits.drain_timeout = Duration::from_secs(3_600));
        let server = Running::run(|_| Server::new(named("shop")).limits(endless)).await;
        let (mut client, _) = greeted(&server, "shop").await;
        for (id, service, status) in [(1, "shop", "SERVING"), (2, "bank", "SERVICE_UNKNOWN")] {
            watch(&mut client, id, service).await;
            assert_eq!(client.answer().await, told(id, status));
        }
        let drained = server.stop();
        let mut last = Vec::new();
        while last.last() != Some(&Answer::GoAway(CallId(2), Code::UNAVAILABLE)) {
            last.push(client.answer().await);
        }
        last.retain(|answer| *answer != ok(2, b""));
        assert_eq!(last[..2], [told(1, "NOT_SERVING"), ok(1, b"")]);
        assert_eq!((last.len(), client.answer().await), (3, Answer::Closed));
        drop(client);
        assert_eq!(timeout(PATIENCE, drained).await.unwrap().unwrap().cut, 0);
    }
}

#[tokio::test]
async fn who_watches_on_a_connection_that_is_too_old_is_asked_to_watch_elsewhere() {
    let short = limits(|limits| limits.connection_age = Some(Duration::from_secs(1)));
    let server = Running::run(|_| Server::new(named("shop")).limits(short)).await;
    let (mut client, _) = greeted(&server, "shop").await;
    watch(&mut client, 1, "shop").await;
    assert_eq!(client.answer().await, told(1, "SERVING"));
    assert_eq!(client.answer().await, failed(1, Code::UNAVAILABLE));
    assert_eq!(client.answer().await, Answer::GoAway(CallId(1), Code::UNAVAILABLE));
    assert_eq!(client.answer().await, Answer::Closed);
}

#[tokio::test]
async fn built_in_services_answer_in_each_format_whatever_service_the_connection_is_for() {
    let server = Running::run(|_| Server::new(named("shop")).add_service(named("stock"))).await;
    for format in [Format::JSON, Format::POSTCARD] {
        for service in ["shop", "stock"] {
            let client = Client::direct(service, [server.addr.to_string()]).format(format);
            let client = client.connect().await.unwrap();
            let names: Vec<String> = client.call("rpc.reflect/list", &()).await.unwrap();
            assert_eq!(names, ["shop", "stock", "rpc.health", "rpc.reflect"]);
            for name in names {
                let question = HealthRequest { service: name };
                let described: ServiceDescriptor =
                    client.call("rpc.reflect/describe", &question).await.unwrap();
                assert_eq!(described.name, question.service);
            }
            let question = HealthRequest { service: "rpc.health".into() };
            let health: ServiceDescriptor = client.call("rpc.reflect/describe", &question).await.unwrap();
            let kinds: Vec<_> =
                health.methods.iter().map(|method| (method.name.as_str(), method.kind)).collect();
            assert_eq!(kinds, [("check", MethodKind::Unary), ("watch", MethodKind::ServerStream)]);
            let question = HealthRequest { service: service.into() };
            let mut reports =
                client.server_stream::<_, HealthReport>("rpc.health/watch", &question).await.unwrap();
            assert_eq!(reports.next().await.unwrap().unwrap().status, HealthStatus::Serving);
        }
    }
}

#[tokio::test]
async fn a_server_describes_its_services_unless_it_is_told_not_to() {
    let price = |_: Option<String>, _: Context| async { Ok::<_, Status>(vec![1_u32]) };
    let shop = Service::builder("shop").docs("A shop.").method("price", price).describe("price", "In cents.");
    let server = Running::run(|_| Server::new(shop.build())).await;
    let (mut client, _) = greeted(&server, "").await;
    let names = result(&mut client, 1, "rpc.reflect/list", &()).await;
    assert_eq!(names, json!(["shop", "rpc.health", "rpc.reflect"]));
    let described = result(&mut client, 2, "rpc.reflect/describe", &json!({ "service": "shop" })).await;
    let method = json!({
        "name": "price", "kind": "unary", "argument": "Option<String>", "result": "Vec<u32>", "docs": "In cents."
    });
    assert_eq!(described, json!({ "name": "shop", "docs": "A shop.", "methods": [method] }));
    let itself = result(&mut client, 3, "rpc.reflect/describe", &json!({ "service": "rpc.reflect" })).await;
    assert_eq!(itself["methods"].as_array().unwrap().len(), 2);
    let bank = client.call(4, "rpc.reflect/describe", &json!({ "service": "bank" })).await;
    assert_eq!(bank, failed(4, Code::NOT_FOUND));

    let silent = Running::run(|_| Server::new(named("shop")).reflection(false)).await;
    let (mut client, _) = greeted(&silent, "").await;
    assert_eq!(client.call(1, "rpc.reflect/list", &()).await, refused(1, Code::UNIMPLEMENTED));
}
