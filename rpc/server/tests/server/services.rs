//! Several services of one server, and errors that are none of the caller's business.

use std::io;

use rpc_server::{Code, Context, Format, HealthStatus, Server, Service, Status};
use serde::Serialize;
use serde_json::json;

use crate::peer::{Answer, RawClient, Running, failed, ok, refused};

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
        let client = rpc_client::Client::direct("shop", [server.addr.to_string()]).connect().await.unwrap();
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
