//! The spans of calls, of each kind.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use rpc_server::{Code, Limits};
use rpc_wire::{Budget, CallId, Frame};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::set_default;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

use crate::peer::{Answer, RawClient, Running, failed, ok};
use crate::streams::service;

type Fields = BTreeMap<&'static str, String>;

/// Layer that collects the fields of the spans that have ended.
#[derive(Clone, Default)]
struct Ended(Arc<Mutex<Vec<Fields>>>);

struct Collect<'a>(&'a mut Fields);

impl Visit for Collect<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}").trim_matches('"').to_owned());
    }
}

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Ended {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::new();
        attributes.record(&mut Collect(&mut fields));
        context.span(id).unwrap().extensions_mut().insert(fields);
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, context: Context<'_, S>) {
        if let Some(fields) = context.span(id).unwrap().extensions_mut().get_mut() {
            record.record(&mut Collect(fields));
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let span = context.span(&id).unwrap();
        if let Some(fields) = span.extensions_mut().remove::<Fields>().filter(|_| span.name() == "rpc.server")
        {
            self.0.lock().unwrap().push(fields);
        }
    }
}

#[tokio::test]
async fn calls_of_each_kind_have_a_span_with_the_same_fields() {
    let ended = Ended::default();
    let _guard = set_default(Registry::default().with(ended.clone()));
    let mut server = Running::serve(Limits::default(), service).await;
    let mut client = RawClient::greeted_with(server.addr, Budget::default()).await;
    let spans = async |method: &str, code: &str| {
        let mut all = Vec::new();
        while all.is_empty() {
            all = std::mem::take(&mut *ended.0.lock().unwrap());
            tokio::task::yield_now().await;
        }
        let [fields] = &all[..] else { panic!("{all:?}") };
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let (name, port) = (format!("test/{method}"), fields[1].1.to_owned());
        let mut expected = vec![
            ("client.address", "127.0.0.1"),
            ("client.port", &port),
            ("otel.kind", "server"),
            ("otel.name", &name),
            ("rpc.method", method),
            ("rpc.response.status_code", code),
            ("rpc.service", "test"),
            ("rpc.system", "rpc"),
        ];
        if code == "DEADLINE_EXCEEDED" {
            expected.insert(4, ("otel.status_code", "ERROR"));
        }
        assert_eq!(fields, expected);
    };

    assert_eq!(client.call(1, "echo", &"x").await, ok(1, b"\"x\""));
    spans("echo", "OK").await;
    client.open(2, "count", "1");
    client.send().await;
    assert_eq!(client.answer().await, failed(2, Code::OUT_OF_RANGE));
    spans("count", "OUT_OF_RANGE").await;
    for (id, method, sum) in [(3, "sum", "7"), (4, "double", "")] {
        client.open(id, method, "");
        client.message(id, "7");
        client.push(&Frame::End(CallId(id)));
        client.send().await;
        while client.answer().await != ok(id, sum.as_bytes()) {}
        spans(method, "OK").await;
    }
    client.open(5, "watch", "null");
    client.send().await;
    server.sees("started").await;
    client.push(&Frame::Cancel(CallId(5)));
    client.send().await;
    spans("watch", "CANCELLED").await;
    let time_left = Some(std::time::Duration::from_millis(1));
    let late =
        rpc_wire::Request { method: "deaf", more: true, time_left, ..rpc_wire::Request::new(CallId(6)) };
    client.push(&Frame::Request(late));
    client.send().await;
    assert!(matches!(client.answer().await, Answer::Failed(CallId(6), Code::DEADLINE_EXCEEDED, _)));
    spans("deaf", "DEADLINE_EXCEEDED").await;
}
