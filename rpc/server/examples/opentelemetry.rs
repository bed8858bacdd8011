//! One trace over two services, with OpenTelemetry: a shop asks a warehouse while it answers a client. The two hooks are all
//! that the libraries need; they know nothing of OpenTelemetry.
//!
//! ```sh
//! cargo run -p rpc-server --example opentelemetry
//! ```

use std::error::Error;
use std::future::pending;
use std::time::Duration;

use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{SpanId, TracerProvider};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use rpc_client::{Client, ClientBuilder};
use rpc_server::{Context, Metadata, MetadataRef, Server, Service, Status};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::layer::SubscriberExt;

/// Metadata of a call, as OpenTelemetry reads them.
struct Received<'a>(MetadataRef<'a>);

impl Extractor for Received<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name).collect()
    }
}

/// Metadata of a call, as OpenTelemetry writes them.
struct Sent<'a>(&'a mut Metadata);

impl Injector for Sent<'_> {
    fn set(&mut self, key: &str, value: String) {
        if !value.is_empty() {
            // The names are allowed, and the values short.
            let _ = self.0.push(key, value);
        }
    }
}

/// A server whose spans have the span of the caller as their parent.
fn traced_server(service: Service) -> Server {
    Server::new(service).span_parent(|span, metadata| {
        let parent = TraceContextPropagator::new().extract(&Received(metadata));
        // An error means that the span is not traced.
        let _ = span.set_parent(parent);
    })
}

/// A client that tells servers its span.
fn traced_client(builder: ClientBuilder) -> ClientBuilder {
    builder.span_context(|span, metadata| {
        TraceContextPropagator::new().inject_context(&span.context(), &mut Sent(metadata));
    })
}

async fn serve(service: Service) -> Result<String, Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?.to_string();
    tokio::spawn(traced_server(service).serve(listener, pending()));
    Ok(addr)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // Spans go to this memory; in production they go to a collector.
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("shop"));
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer))?;

    // The shop calls the warehouse inside its handler, and says nothing about traces there.
    let stock = |item: String, _: Context| async move { Ok::<_, Status>(item.len()) };
    let warehouse = serve(Service::builder("warehouse").method("stock", stock).build()).await?;
    let warehouse = traced_client(Client::direct("warehouse", [warehouse])).connect().await?;
    let buy = move |item: String, _: Context| {
        let warehouse = warehouse.clone();
        async move {
            let stock: usize = warehouse
                .call("stock", &item)
                .await
                .map_err(|error| Status::unavailable(error.to_string()))?;
            Ok::<_, Status>(stock > 0)
        }
    };
    let shop = serve(Service::builder("shop").method("buy", buy).build()).await?;
    let client = traced_client(Client::direct("shop", [shop])).connect().await?;
    assert!(client.call::<_, bool>("buy", "tea").await?);

    // A server's span may end a moment after its reply.
    let exported = async {
        loop {
            let spans = exporter.get_finished_spans()?;
            if spans.iter().filter(|span| is_of_a_call(span)).count() == 4 {
                return Ok::<_, Box<dyn Error>>(spans);
            }
            sleep(Duration::from_millis(1)).await;
        }
    };
    let spans = timeout(Duration::from_secs(10), exported).await??;
    let mut parent = SpanId::INVALID;
    for depth in 0..4 {
        let is_next = |span: &&SpanData| is_of_a_call(span) && span.parent_span_id == parent;
        let span = spans.iter().find(is_next).ok_or("a span is missing")?;
        assert_eq!(span.span_context.trace_id(), spans[0].span_context.trace_id());
        println!("{:width$}{} ({:?})", "", span.name, span.span_kind, width = 2 * depth);
        parent = span.span_context.span_id();
    }
    Ok(())
}

fn is_of_a_call(span: &SpanData) -> bool {
    span.name == "shop/buy" || span.name == "warehouse/stock"
}
