//! Trace contexts that pass through services without a tracing system.

use std::future::pending;
use std::sync::Arc;

use common::current_call::CurrentCall;
use rpc_client::Client;
use rpc_server::{Context, Server, Service, Status};
use rpc_wire::Metadata;
use tokio::net::TcpListener;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

async fn serve(service: Service) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let name = service.name().to_owned();
    tokio::spawn(Server::new(service).serve(listener, pending()));
    Client::direct(name, [addr]).connect().await.unwrap()
}

/// Service that answers with the trace context that came.
fn inner() -> Service {
    let seen = |(): (), context: Context| async move {
        let text = |name| context.metadata().get(name).map(str::to_owned);
        Ok::<_, Status>((text("traceparent"), text("tracestate")))
    };
    Service::builder("inner").method("seen", seen).build()
}

#[tokio::test]
async fn a_call_made_inside_another_carries_its_trace_context_on() {
    let inner = serve(inner()).await;
    let outer = Service::builder("outer")
        .method("ask", move |(): (), _: Context| {
            let inner = inner.clone();
            async move {
                let seen = inner.call::<_, (Option<String>, Option<String>)>("seen", &()).await;
                seen.map_err(|error| Status::internal(error.to_string()))
            }
        })
        .build();
    let outer = serve(outer).await;
    let ask = || async { outer.call::<_, (Option<String>, Option<String>)>("ask", &()).await.unwrap() };
    assert_eq!(ask().await, (None, None));
    let inside = |parent: &str, state: &str| {
        let mut metadata = Metadata::new();
        metadata.push("traceparent", parent).unwrap();
        metadata.push("tracestate", state).unwrap();
        CurrentCall { deadline: None, metadata: Some(Arc::new(metadata)) }.scope(ask())
    };
    let parent = || Some(PARENT.to_owned());
    assert_eq!(inside(PARENT, "vendor=1").await, (parent(), Some("vendor=1".to_owned())));
    assert_eq!(inside(PARENT, &"x".repeat(513)).await, (parent(), None), "longer than has to be passed on");
    assert_eq!(inside(&"0".repeat(56), "vendor=1").await, (None, None), "no trace context");
}
