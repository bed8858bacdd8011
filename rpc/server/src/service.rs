//! Services: named methods with typed async handlers.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::task::{self, Poll};

use rpc_wire::{Format, Status};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::context::Context;
use crate::session::MethodTable;

/// Named methods that a server offers, each with a typed async handler.
///
/// ```
/// use rpc_server::{Context, Service, Status};
///
/// let service = Service::builder("calculator")
///     .method("divide", |(a, b): (i64, i64), _: Context| async move {
///         a.checked_div(b).ok_or_else(|| Status::invalid_argument(format!("cannot divide {a} by {b}")))
///     })
///     .build();
/// assert_eq!(service.name(), "calculator");
/// ```
pub struct Service {
    name: String,
    methods: BTreeMap<String, Handler>,
}

impl Service {
    /// Starts a service. Clients ask for it by `name`.
    pub fn builder(name: impl Into<String>) -> ServiceBuilder {
        ServiceBuilder(Self { name: name.into(), methods: BTreeMap::new() })
    }

    /// Returns the name of the service.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the same methods under another name.
    pub fn with_name(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// Returns its name, its methods, and their handlers in the same order.
    pub(crate) fn into_parts(self) -> (String, MethodTable, Vec<Handler>) {
        let (names, handlers): (Vec<_>, _) = self.methods.into_iter().unzip();
        (self.name, MethodTable::new(names), handlers)
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let methods: Vec<_> = self.methods.keys().collect();
        f.debug_struct("Service").field("name", &self.name).field("methods", &methods).finish()
    }
}

/// Builder of a [`Service`].
#[derive(Debug)]
#[must_use = "call build"]
pub struct ServiceBuilder(Service);

impl ServiceBuilder {
    /// Adds a method, or replaces the one of that name. A name longer than 255 bytes cannot be called.
    ///
    /// The handler runs on its connection's task until it first has to wait at an `await`, and on a task of its own from
    /// there. It is dropped when the call's deadline is over or the caller has cancelled it. Long computations belong into
    /// `tokio::task::spawn_blocking`.
    pub fn method<A, R, H, F>(mut self, name: impl Into<String>, handler: H) -> Self
    where
        A: DeserializeOwned,
        R: Serialize,
        H: Fn(A, Context) -> F + Send + Sync + 'static,
        F: Future<Output = Result<R, Status>> + Send + 'static,
    {
        let name = name.into();
        let shown = name.clone();
        let erased: Handler = Box::new(move |payload, format, context| {
            let argument = format.decode(payload).map_err(|error| {
                Status::invalid_argument(format!("the argument of {shown} cannot be decoded: {error}"))
            })?;
            Ok(Box::pin(handler(argument, context)))
        });
        self.0.methods.insert(name, erased);
        self
    }

    /// Returns the service.
    pub fn build(self) -> Service {
        self.0
    }
}

/// Decodes an argument and starts a call; an error is the reply.
pub(crate) type Handler = Box<dyn Fn(&[u8], Format, Context) -> Result<Running, Status> + Send + Sync>;

/// Future of a running handler, without its types.
pub(crate) type Running = Pin<Box<dyn PollReply + Send>>;

/// Future whose result is encoded into the buffer for the socket, so that a reply needs no buffer of its own.
pub(crate) trait PollReply {
    /// Polls the handler. At `Ready(Ok(()))` the result has been appended to `out`.
    fn poll_reply(
        self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        format: Format,
        out: &mut Vec<u8>,
    ) -> Poll<Result<(), Status>>;
}

impl<F, R> PollReply for F
where
    F: Future<Output = Result<R, Status>>,
    R: Serialize,
{
    fn poll_reply(
        self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        format: Format,
        out: &mut Vec<u8>,
    ) -> Poll<Result<(), Status>> {
        self.poll(cx).map(|result| {
            let reply = result?;
            format
                .encode(&reply, out)
                .map_err(|error| Status::internal(format!("the reply cannot be encoded: {error}")))
        })
    }
}
