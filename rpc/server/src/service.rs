//! Services: named methods with typed async handlers.

use std::collections::BTreeMap;
use std::fmt;

use futures_core::Stream;
use rpc_wire::{MethodDescriptor, ServiceDescriptor, Status};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::context::Context;
use crate::error::HandlerError;
#[cfg(feature = "tower")]
use crate::handler::Handlers;
use crate::handler::{Handler, Opening, Running, Streaming};
#[cfg(feature = "tower")]
use crate::layer::Route;
use crate::messages::Messages;
use crate::session::{MethodKind, MethodTable};
use crate::type_name::short_type_name;

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
    docs: String,
    methods: BTreeMap<String, Method>,
    /// Service of tower that the handlers call, if there are layers around the methods.
    #[cfg(feature = "tower")]
    route: Option<Route>,
}

/// Handler of a method, and what clients may know of it.
struct Method {
    handler: Handler,
    kind: MethodKind,
    argument: String,
    result: String,
    docs: String,
}

impl Service {
    /// Starts a service. Clients ask for it by `name`.
    ///
    /// Names that begin with `rpc.` are those of the library's own services. A server with such a service, with a service or a
    /// method without a name, or with a method whose name has a `/`, does not start to serve; see
    /// [`Server::serve`](crate::Server::serve). Nor does one whose service and method have names of more than 254 bytes together.
    pub fn builder(name: impl Into<String>) -> ServiceBuilder {
        ServiceBuilder(Self {
            name: name.into(),
            docs: String::new(),
            methods: BTreeMap::new(),
            #[cfg(feature = "tower")]
            route: None,
        })
    }

    /// Returns the name of the service.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the description of the service, which clients get from `rpc.reflect/describe`.
    #[must_use]
    pub fn descriptor(&self) -> ServiceDescriptor {
        let methods = self.methods.iter().map(|(name, method)| MethodDescriptor {
            name: name.clone(),
            kind: method.kind,
            argument: method.argument.clone(),
            result: method.result.clone(),
            docs: method.docs.clone(),
        });
        ServiceDescriptor { name: self.name.clone(), docs: self.docs.clone(), methods: methods.collect() }
    }

    /// Returns the names of the methods.
    pub(crate) fn method_names(&self) -> impl Iterator<Item = &str> {
        self.methods.keys().map(String::as_str)
    }

    /// Returns the service of tower that the handlers call, if there are layers.
    #[cfg(feature = "tower")]
    pub(crate) fn route(&self) -> Option<&Route> {
        self.route.as_ref()
    }

    /// Returns the same methods under another name.
    pub fn with_name(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// Puts a layer around the handlers. `call` makes handlers that call the layered service.
    #[cfg(feature = "tower")]
    pub(crate) fn put_around(
        self,
        layer: impl FnOnce(Route) -> Route,
        call: impl Fn(MethodKind, Route) -> Handler,
    ) -> Self {
        let split = |(name, Method { handler, kind, argument, result, docs }): (String, Method)| {
            ((name.clone(), handler), (name, kind, argument, result, docs))
        };
        let (handlers, methods): (Handlers, Vec<_>) = self.methods.into_iter().map(split).unzip();
        let route = layer(self.route.unwrap_or_else(|| Route::new(handlers)));
        let methods = methods.into_iter().map(|(name, kind, argument, result, docs)| {
            (name, Method { handler: call(kind, route.clone()), kind, argument, result, docs })
        });
        Self { methods: methods.collect(), route: Some(route), ..self }
    }
}

/// Returns the methods of services, and their handlers in the same order.
pub(crate) fn tabulate(services: Vec<Service>) -> (MethodTable, Vec<Handler>) {
    let mut handlers = Vec::new();
    let services = services.into_iter().map(|service| {
        let methods = service.methods.into_iter().map(|(name, method)| ((name, method.kind), method.handler));
        let (kinds, of_service): (Vec<_>, Vec<_>) = methods.unzip();
        handlers.extend(of_service);
        (service.name, kinds)
    });
    (MethodTable::new(services), handlers)
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
    /// Adds a method, or replaces the one of that name.
    ///
    /// The handler runs on its connection's task until it first has to wait at an `await`, and on a task of its own from
    /// there. It is dropped when the call's deadline is over or the caller has cancelled it. Long computations belong into
    /// `tokio::task::spawn_blocking`.
    pub fn method<A, R, E, H, F>(self, name: impl Into<String>, handler: H) -> Self
    where
        A: DeserializeOwned,
        R: Serialize,
        H: Fn(A, Context) -> F + Send + Sync + 'static,
        F: Future<Output = Result<R, E>> + Send + 'static,
        E: HandlerError,
    {
        self.add::<A, R>(name, MethodKind::Unary, move |opening| {
            let argument = opening.argument()?;
            Ok(Running::Reply(Box::pin(handler(argument, opening.context))))
        })
    }

    /// Adds a method whose handler gives a stream of messages. The stream is polled as far as the client takes its messages,
    /// on a task of its own; an error ends it. It is dropped when the call's deadline is over or the caller has cancelled it.
    ///
    /// ```
    /// use futures_util::stream;
    /// use rpc_server::{Context, Service, Status};
    ///
    /// async fn count(to: u32, _: Context) -> Result<impl stream::Stream<Item = Result<u32, Status>>, Status> {
    ///     Ok(stream::iter((1..=to).map(Ok)))
    /// }
    ///
    /// let service = Service::builder("counter").server_stream("count", count).build();
    /// ```
    pub fn server_stream<A, R, S, E, H, F>(self, name: impl Into<String>, handler: H) -> Self
    where
        A: DeserializeOwned,
        R: Serialize,
        S: Stream<Item = Result<R, Status>> + Send + 'static,
        H: Fn(A, Context) -> F + Send + Sync + 'static,
        F: Future<Output = Result<S, E>> + Send + 'static,
        E: HandlerError,
    {
        self.add::<A, R>(name, MethodKind::ServerStream, move |opening| {
            let argument = opening.argument()?;
            Ok(messages(handler(argument, opening.context)))
        })
    }

    /// Adds a method whose handler takes a stream of messages and gives a result, which it may give before the last message.
    /// The client is held back while the handler takes no message.
    pub fn client_stream<A, R, E, H, F>(self, name: impl Into<String>, handler: H) -> Self
    where
        A: DeserializeOwned,
        R: Serialize,
        H: Fn(Messages<A>, Context) -> F + Send + Sync + 'static,
        F: Future<Output = Result<R, E>> + Send + 'static,
        E: HandlerError,
    {
        self.add::<A, R>(name, MethodKind::ClientStream, move |opening| {
            let (messages, context) = opening.messages()?;
            Ok(Running::Reply(Box::pin(handler(messages, context))))
        })
    }

    /// Adds a method whose handler takes a stream of messages and gives one.
    ///
    /// ```
    /// use futures_util::{StreamExt, stream};
    /// use rpc_server::{Context, Messages, Service, Status};
    ///
    /// async fn double(
    ///     numbers: Messages<u32>,
    ///     _: Context,
    /// ) -> Result<impl stream::Stream<Item = Result<u32, Status>>, Status> {
    ///     Ok(numbers.map(|number| Ok(2 * number?)))
    /// }
    ///
    /// let service = Service::builder("calculator").bidi_stream("double", double).build();
    /// ```
    pub fn bidi_stream<A, R, S, E, H, F>(self, name: impl Into<String>, handler: H) -> Self
    where
        A: DeserializeOwned,
        R: Serialize,
        S: Stream<Item = Result<R, Status>> + Send + 'static,
        H: Fn(Messages<A>, Context) -> F + Send + Sync + 'static,
        F: Future<Output = Result<S, E>> + Send + 'static,
        E: HandlerError,
    {
        self.add::<A, R>(name, MethodKind::BidiStream, move |opening| {
            let (taken, context) = opening.messages()?;
            Ok(messages(handler(taken, context)))
        })
    }

    /// Describes the service, for `rpc.reflect`.
    pub fn docs(mut self, docs: impl Into<String>) -> Self {
        self.0.docs = docs.into();
        self
    }

    /// Describes a method that was added before, for `rpc.reflect`.
    pub fn describe(mut self, method: &str, docs: impl Into<String>) -> Self {
        if let Some(method) = self.0.methods.get_mut(method) {
            method.docs = docs.into();
        }
        self
    }

    fn add<A, R>(
        mut self,
        name: impl Into<String>,
        kind: MethodKind,
        handler: impl Fn(Opening<'_>) -> Result<Running, Status> + Send + Sync + 'static,
    ) -> Self {
        let (argument, result) = (short_type_name::<A>(), short_type_name::<R>());
        let method = Method { handler: Box::new(handler), kind, argument, result, docs: String::new() };
        self.0.methods.insert(name.into(), method);
        self
    }

    /// Returns the service.
    pub fn build(self) -> Service {
        self.0
    }
}

fn messages<F, S, R, E>(opening: F) -> Running
where
    F: Future<Output = Result<S, E>> + Send + 'static,
    S: Stream<Item = Result<R, Status>> + Send + 'static,
    R: Serialize,
    E: HandlerError,
{
    Running::Messages(Box::new(Streaming::Opening(Box::pin(opening))))
}
