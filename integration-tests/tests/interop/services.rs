//! Our services with clients in Python, and services in Python with our clients.

use std::time::Duration;

use integration_tests::process::Process;
use integration_tests::programs::{self, ServeProcess};
use integration_tests::scenarios::rpc::{RegisteredServer, call};
use integration_tests::wait::PATIENCE;
use nix::sys::signal::Signal;
use registry::{Instance, Members, Registry};
use rpc_client::Client;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

#[test]
fn a_python_consumer_sees_a_rust_service_come_go_and_die() {
    let zk = ServeProcess::start();
    let servers = zk.addr().to_string();
    let mut consumer = Process::start(programs::tutorial("consumer.py").arg(&servers));
    consumer.line_with("[]");
    let register = |runtime: &Runtime, port| {
        runtime.block_on(async {
            let builder = Registry::builder().servers(&servers).session_timeout(Duration::from_secs(2));
            let registry = builder.connect().await.unwrap();
            registry.register("demo", Instance::new("127.0.0.1", port)).await.unwrap()
        })
    };

    let living = Runtime::new().unwrap();
    let registration = register(&living, 8001);
    consumer.line_with(r#"["127.0.0.1:8001"]"#);
    living.block_on(registration.withdraw()).unwrap();
    consumer.line_with("[]");

    // The end of its runtime ends everything of the service without a goodbye, as the end of a process would.
    let dying = Runtime::new().unwrap();
    let registration = register(&dying, 8002);
    consumer.line_with(r#"["127.0.0.1:8002"]"#);
    dying.shutdown_background();
    consumer.line_with("[]");
    drop(registration);
    assert!(consumer.terminate().success(), "{consumer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rust_client_calls_a_service_of_the_tutorials_producer() {
    let zk = ServeProcess::start();
    let servers = zk.addr().to_string();
    let registry = Registry::connect(&servers).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let echo = |text: String, _: rpc_server::Context| async move { Ok::<_, rpc_server::Status>((0, text)) };
    let service = rpc_server::Service::builder("demo").method("echo", echo).build();
    tokio::spawn(rpc_server::Server::new(service).serve(listener, std::future::pending()));

    let mut producer = Process::start(programs::tutorial("producer.py").args([&servers, &address]));
    producer.line_with("announced /demo/rpc");
    let client = Client::builder(registry.clone(), "demo").connect().await.unwrap();
    call(&client, 10).await;

    let mut seen = registry.subscribe("demo").await.unwrap();
    producer.signal(Signal::SIGTERM);
    integration_tests::scenarios::members("it leaves", &mut seen, Members::is_empty).await;
    assert!(producer.wait().success(), "{producer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rust_client_calls_a_python_server() {
    let zk = ServeProcess::start();
    let servers = zk.addr().to_string();
    let mut server = Process::start(programs::tutorial("rpc_server.py").arg(&servers));
    server.line_with("ready 127.0.0.1:");
    let registry = Registry::connect(&servers).await.unwrap();
    let client = Client::builder(registry, "demo").connect().await.unwrap();

    let argument = json!({"n": 7, "text": "grün"});
    let reply: Value = client.call("echo", &argument).deadline(PATIENCE).await.unwrap();
    assert_eq!(reply, json!({"echo": argument, "from": format!("python-{}", server.pid())}));
    let refusal = client.call::<_, Value>("nothing", &argument).await.unwrap_err();
    assert!(refusal.to_string().contains("no method nothing"), "{refusal}");
    assert!(server.terminate().success(), "{server}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_client_calls_a_rust_server() {
    let zk = ServeProcess::start();
    let servers = zk.addr().to_string();
    let registry = Registry::connect(&servers).await.unwrap();
    let server = RegisteredServer::start(&registry, "demo").await;

    let python = || programs::tutorial("rpc_client.py");
    let mut client = Process::start(python().args([servers.as_str(), "echo", r#""hello""#]));
    client.line_with(r#""hello"]"#);
    assert!(client.wait().success(), "{client}");
    let mut wrong = Process::start(python().args([servers.as_str(), "echo", "7"]));
    assert!(!wrong.wait().success());
    assert!(wrong.stderr().contains("RpcError: (3, "), "INVALID_ARGUMENT: {wrong}");
    server.leave().await;
}
