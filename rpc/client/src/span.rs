//! The span of `tracing` around a call, and the trace context that it sends.

use std::fmt;

use common::current_call;
use rpc_wire::{Code, Metadata};
use tracing::Span;
use tracing::field::Empty;

/// Length of a `traceparent`, in the one version that there is.
const MOST_PARENT: usize = 55;

/// Length of a `tracestate` up to which W3C asks to pass it on.
const MOST_STATE: usize = 512;

/// Hook that adds the trace context of a span to the metadata of its call.
pub(crate) struct ContextHook(pub(crate) Box<AddContext>);

type AddContext = dyn Fn(&Span, &mut Metadata) + Send + Sync;

impl fmt::Debug for ContextHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContextHook")
    }
}

/// Begins the span of a call. It is disabled, and of no cost, if no subscriber wants it.
pub(crate) fn begin(service: &str, method: &str) -> Span {
    let span = tracing::debug_span!(
        target: "rpc_client",
        "rpc.client",
        otel.name = Empty,
        otel.kind = "client",
        otel.status_code = Empty,
        rpc.system = "rpc",
        rpc.service = service,
        rpc.method = method,
        rpc.response.status_code = Empty,
        server.address = Empty,
    );
    if !span.is_disabled() {
        span.record("otel.name", tracing::field::display(format_args!("{service}/{method}")));
    }
    span
}

/// Adds the trace context: that of the span, or else the one of the call inside which this one is made, as it came.
pub(crate) fn send_context(hook: Option<&ContextHook>, span: &Span, metadata: &mut Metadata) {
    if let Some(ContextHook(hook)) = hook.filter(|_| !span.is_disabled()) {
        return hook(span, metadata);
    }
    let Some(inherited) = current_call::with(|call| call.metadata.clone()).flatten() else { return };
    let Some(inherited) = inherited.downcast_ref::<Metadata>() else { return };
    let short = |name, most| inherited.get(name).filter(|value| value.len() <= most);
    let Some(parent) = short("traceparent", MOST_PARENT) else { return };
    // A call that has no room left for it is made without.
    let _ = metadata.push("traceparent", parent);
    if let Some(state) = short("tracestate", MOST_STATE) {
        let _ = metadata.push("tracestate", state);
    }
}

/// Records the address that has answered.
pub(crate) fn answered(span: &Span, address: &str) {
    span.record("server.address", address);
}

/// Records the end of a call.
pub(crate) fn end(span: &Span, code: Code) {
    if span.is_disabled() {
        return;
    }
    span.record("rpc.response.status_code", tracing::field::display(code));
    if code != Code::OK {
        span.record("otel.status_code", "ERROR");
    }
}
