//! Calls to instances that the registry knows.

use std::time::Duration;

use registry::{Instance, Registration, Registry};
use rpc_client::{Client, Error};

use crate::servers::{TestServer, eventually};

async fn announce(registry: &Registry, server: &TestServer, identity: Option<&str>) -> Registration {
    let mut instance = Instance::new(server.addr.ip().to_string(), server.addr.port());
    if let Some(identity) = identity {
        instance = instance.with("instance", identity);
    }
    registry.register("test", instance).await.unwrap()
}

async fn who(client: &Client) -> Result<String, Error> {
    client.call("who", &()).await
}

#[tokio::test]
async fn instances_are_used_while_they_are_registered() {
    let registry = Registry::embedded().await.unwrap();
    let (a, b) = (TestServer::start("a").await, TestServer::start("b").await);
    let at_a = announce(&registry, &a, Some("a")).await;
    let client = Client::builder(registry.clone(), "test").connect().await.unwrap();
    assert_eq!(who(&client).await.unwrap(), "a");

    let _at_b = announce(&registry, &b, Some("b")).await;
    eventually(async || who(&client).await.unwrap() == "b").await;
    at_a.withdraw().await.unwrap();
    // The withdrawn instance is soon out of use for good, although it would still answer.
    let before = client.stats().by_instance["b"].ok;
    eventually(async || {
        let answer = who(&client).await.unwrap();
        answer == "b" && client.stats().by_instance["b"].ok > before + 20
    })
    .await;
    for _ in 0..20 {
        assert_eq!(who(&client).await.unwrap(), "b");
    }
    assert_eq!(client.stats().failed, 0);
}

#[tokio::test]
async fn a_withdrawn_instance_may_finish_what_it_runs() {
    let registry = Registry::embedded().await.unwrap();
    let server = TestServer::start("a").await;
    let registration = announce(&registry, &server, Some("a")).await;
    let client = Client::builder(registry.clone(), "test").connect().await.unwrap();
    assert_eq!(who(&client).await.unwrap(), "a");
    let slow = tokio::spawn({
        let client = client.clone();
        async move { client.call::<_, String>("slow_who", &200).await }
    });
    eventually(async || client.stats().by_instance["a"].sent == 2).await;
    registration.withdraw().await.unwrap();
    assert_eq!(slow.await.unwrap().unwrap(), "a");
}

#[tokio::test]
async fn without_instances_a_call_fails_clearly_and_works_again_when_one_comes() {
    let registry = Registry::embedded().await.unwrap();
    let patience = Duration::from_millis(50);
    let builder = Client::builder(registry.clone(), "test");
    let client = builder.wait_for_instance(patience).connect().await.unwrap();
    let error = who(&client).await.unwrap_err();
    assert!(matches!(error, Error::NoInstances { .. }), "{error}");
    let server = TestServer::start("a").await;
    let _registration = announce(&registry, &server, None).await;
    eventually(async || who(&client).await.is_ok()).await;
}

#[tokio::test]
async fn calls_go_on_when_the_registry_has_lost_all_instances_and_these_still_answer() {
    let registry = Registry::embedded().await.unwrap();
    let servers = [TestServer::start("a").await, TestServer::start("b").await];
    let provider = Registry::builder().embedded(registry.server().unwrap()).connect().await.unwrap();
    let _a = announce(&provider, &servers[0], Some("a")).await;
    let _b = announce(&provider, &servers[1], Some("b")).await;
    let careless = Client::builder(registry.clone(), "test").hold_lost_instances(Duration::ZERO);
    let careless = careless.wait_for_instance(Duration::from_millis(50)).connect().await.unwrap();
    let client = Client::builder(registry.clone(), "test").connect().await.unwrap();
    who(&client).await.unwrap();

    // As if the servers had ended the sessions of all by mistake, and the instances could not come back yet.
    provider.close().await.unwrap();
    eventually(async || matches!(who(&careless).await, Err(Error::NoInstances { .. }))).await;
    for _ in 0..50 {
        who(&client).await.unwrap();
    }
    assert_eq!(client.stats().failed, 0);
}

#[tokio::test]
async fn another_process_on_the_port_of_a_registered_one_gets_no_call() {
    let registry = Registry::embedded().await.unwrap();
    let stranger = TestServer::start("stranger").await;
    let _registration = announce(&registry, &stranger, Some("the one that died")).await;
    let builder = Client::builder(registry.clone(), "test");
    let client = builder.wait_for_instance(Duration::from_millis(200)).connect().await.unwrap();
    let error = who(&client).await.unwrap_err();
    assert!(error.to_string().contains("another process (stranger)"), "{error}");
}

#[tokio::test]
async fn a_client_without_its_registry_calls_the_successors_at_known_addresses() {
    let holder = Registry::embedded().await.unwrap();
    let server = TestServer::start("before").await;
    let addr = server.addr;
    let _registration = announce(&holder, &server, Some("before")).await;
    let registry = Registry::builder().embedded(holder.server().unwrap()).connect().await.unwrap();
    let client = Client::builder(registry, "test").connect().await.unwrap();
    assert_eq!(who(&client).await.unwrap(), "before");
    // So the client is not told of the restart.
    holder.server().unwrap().take_down().await;
    server.stop().await;
    let _successor = TestServer::start_at("after", addr).await;
    assert_eq!(who(&client).await.unwrap(), "after");
}
