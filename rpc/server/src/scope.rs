//! The scope of a call, in which its handler is polled: the current call, and the span of `tracing`.

use std::fmt;

use common::current_call::CurrentCall;
use common::log::{quietly, survive};
use rpc_wire::{Code, MetadataRef};
use tracing::Span;
use tracing::field::Empty;

use crate::context::Context;

/// Scope of a call.
pub(crate) struct CallScope {
    current: CurrentCall,
    /// Disabled, and of no cost, if no subscriber wants it.
    span: Span,
    /// Code of the reply, once there is one.
    code: Option<Code>,
}

/// Hook that gives the span of a call its parent.
pub(crate) struct ParentHook(pub(crate) Box<SetParent>);

type SetParent = dyn Fn(&Span, MetadataRef<'_>) + Send + Sync;

impl fmt::Debug for ParentHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ParentHook")
    }
}

impl CallScope {
    pub(crate) fn new(context: &Context, parent: Option<&ParentHook>) -> Self {
        let span = tracing::debug_span!(
            target: "rpc_server",
            "rpc.server",
            otel.name = Empty,
            otel.kind = "server",
            otel.status_code = Empty,
            rpc.system = "rpc",
            rpc.service = context.service(),
            rpc.method = context.method(),
            rpc.response.status_code = Empty,
            client.address = Empty,
            client.port = context.peer().port(),
        );
        if !span.is_disabled() {
            span.record(
                "otel.name",
                tracing::field::display(format_args!("{}/{}", context.service(), context.method())),
            );
            span.record("client.address", tracing::field::display(context.peer().ip()));
            if let Some(ParentHook(hook)) = parent {
                let metadata = context.metadata();
                if let Err(why) = survive(|| hook(&span, metadata)) {
                    quietly(|| tracing::error!("the hook `span_parent` {why}; the call goes on"));
                }
            }
        }
        Self { current: context.current_call(), span, code: None }
    }

    /// Runs a function inside the call.
    pub(crate) fn enter<R>(&mut self, run: impl FnOnce() -> R) -> R {
        let _inside = self.span.enter();
        self.current.enter(run)
    }

    /// Returns the code of the reply; `None` if there is none yet.
    pub(crate) fn code(&self) -> Option<Code> {
        self.code
    }

    /// Records the end of the call.
    pub(crate) fn end(&mut self, code: Code) {
        self.code = Some(code);
        if self.span.is_disabled() {
            return;
        }
        self.span.record("rpc.response.status_code", tracing::field::display(code));
        // Failures of the server, as the conventions of OpenTelemetry for gRPC count them.
        let is_fault = matches!(
            code,
            Code::UNKNOWN
                | Code::DEADLINE_EXCEEDED
                | Code::UNIMPLEMENTED
                | Code::INTERNAL
                | Code::UNAVAILABLE
                | Code::DATA_LOSS
        );
        if is_fault {
            self.span.record("otel.status_code", "ERROR");
        }
    }
}
