//! Services whose handlers are methods of one value.

use std::fmt;
use std::sync::Arc;

use futures_core::Stream;
use rpc_wire::Status;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::context::Context;
use crate::error::HandlerError;
use crate::messages::Messages;
use crate::service::{Service, ServiceBuilder};

impl ServiceBuilder {
    /// Shares a value among the handlers that are added from here on, which may be its methods.
    ///
    /// ```
    /// use rpc_server::{Context, Service, Status};
    ///
    /// struct Shop {
    ///     price: u32,
    /// }
    ///
    /// impl Shop {
    ///     async fn price(&self, count: u32, _: Context) -> Result<u32, Status> {
    ///         Ok(self.price * count)
    ///     }
    /// }
    ///
    /// let service = Service::builder("shop").state(Shop { price: 3 }).method("price", Shop::price).build();
    /// ```
    ///
    /// Handlers of streams get the value, too. A stream that they return outlives the call of the handler, so it takes along
    /// what it needs of the value:
    ///
    /// ```
    /// use futures_util::stream;
    /// use rpc_server::{Context, MessageStream, Messages, Service, Status};
    ///
    /// struct Stock {
    ///     items: Vec<String>,
    /// }
    ///
    /// impl Stock {
    ///     async fn list(&self, from: usize, _: Context) -> Result<MessageStream<String>, Status> {
    ///         let items: Vec<_> = self.items.iter().skip(from).cloned().map(Ok).collect();
    ///         Ok(Box::pin(stream::iter(items)))
    ///     }
    ///
    ///     async fn count(&self, mut wanted: Messages<String>, _: Context) -> Result<usize, Status> {
    ///         let mut count = 0;
    ///         while let Some(item) = wanted.next().await.transpose()? {
    ///             count += usize::from(self.items.contains(&item));
    ///         }
    ///         Ok(count)
    ///     }
    /// }
    ///
    /// let stock = Service::builder("stock").state(Stock { items: vec!["tea".into()] });
    /// let service = stock.server_stream("list", Stock::list).client_stream("count", Stock::count).build();
    /// ```
    pub fn state<S: Send + Sync + 'static>(self, state: impl Into<Arc<S>>) -> StatefulBuilder<S> {
        StatefulBuilder { builder: self, state: state.into() }
    }
}

/// Builder of a [`Service`] whose handlers share a value; see [`ServiceBuilder::state`].
#[must_use = "call build"]
pub struct StatefulBuilder<S> {
    builder: ServiceBuilder,
    state: Arc<S>,
}

impl<S: Send + Sync + 'static> StatefulBuilder<S> {
    /// Adds a method, or replaces the one of that name, as [`ServiceBuilder::method`] does. The handler gets the value, too:
    /// `async fn(&self, argument, Context) -> Result<…>` in its `impl`.
    pub fn method<A, R, E, H>(self, name: impl Into<String>, handler: H) -> Self
    where
        A: DeserializeOwned + Send + 'static,
        R: Serialize + 'static,
        E: HandlerError + 'static,
        H: for<'a> StateHandler<'a, S, A, Output = Result<R, E>> + 'static,
    {
        let (state, handler) = (Arc::clone(&self.state), Arc::new(handler));
        let with_state =
            move |argument, context| call(Arc::clone(&handler), Arc::clone(&state), argument, context);
        Self { builder: self.builder.method(name, with_state), ..self }
    }

    /// Adds a method whose handler gives a stream of messages, as [`ServiceBuilder::server_stream`] does. The handler gets the
    /// value, too; its stream does not borrow from it.
    pub fn server_stream<A, R, M, E, H>(self, name: impl Into<String>, handler: H) -> Self
    where
        A: DeserializeOwned + Send + 'static,
        R: Serialize + 'static,
        M: Stream<Item = Result<R, Status>> + Send + 'static,
        E: HandlerError + 'static,
        H: for<'a> StateHandler<'a, S, A, Output = Result<M, E>> + 'static,
    {
        let (state, handler) = (Arc::clone(&self.state), Arc::new(handler));
        let with_state =
            move |argument, context| call(Arc::clone(&handler), Arc::clone(&state), argument, context);
        Self { builder: self.builder.server_stream(name, with_state), ..self }
    }

    /// Adds a method whose handler takes a stream of messages and gives a result, as [`ServiceBuilder::client_stream`] does. The
    /// handler gets the value, too.
    pub fn client_stream<A, R, E, H>(self, name: impl Into<String>, handler: H) -> Self
    where
        A: DeserializeOwned + Send + 'static,
        R: Serialize + 'static,
        E: HandlerError + 'static,
        H: for<'a> StateHandler<'a, S, Messages<A>, Output = Result<R, E>> + 'static,
    {
        let (state, handler) = (Arc::clone(&self.state), Arc::new(handler));
        let with_state =
            move |argument, context| call(Arc::clone(&handler), Arc::clone(&state), argument, context);
        Self { builder: self.builder.client_stream(name, with_state), ..self }
    }

    /// Adds a method whose handler takes a stream of messages and gives one, as [`ServiceBuilder::bidi_stream`] does. The handler
    /// gets the value, too; its stream does not borrow from it.
    pub fn bidi_stream<A, R, M, E, H>(self, name: impl Into<String>, handler: H) -> Self
    where
        A: DeserializeOwned + Send + 'static,
        R: Serialize + 'static,
        M: Stream<Item = Result<R, Status>> + Send + 'static,
        E: HandlerError + 'static,
        H: for<'a> StateHandler<'a, S, Messages<A>, Output = Result<M, E>> + 'static,
    {
        let (state, handler) = (Arc::clone(&self.state), Arc::new(handler));
        let with_state =
            move |argument, context| call(Arc::clone(&handler), Arc::clone(&state), argument, context);
        Self { builder: self.builder.bidi_stream(name, with_state), ..self }
    }

    /// Describes the service, for `rpc.reflect`.
    pub fn docs(self, docs: impl Into<String>) -> Self {
        Self { builder: self.builder.docs(docs), ..self }
    }

    /// Describes a method that was added before, for `rpc.reflect`.
    pub fn describe(self, method: &str, docs: impl Into<String>) -> Self {
        Self { builder: self.builder.describe(method, docs), ..self }
    }

    /// Returns the service.
    pub fn build(self) -> Service {
        self.builder.build()
    }
}

/// Calls a handler with the value.
async fn call<S, A, T, H>(handler: Arc<H>, state: Arc<S>, argument: A, context: Context) -> T
where
    H: for<'a> StateHandler<'a, S, A, Output = T>,
{
    handler.call(&state, argument, context).await
}

impl<S> fmt::Debug for StatefulBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatefulBuilder").field("builder", &self.builder).finish_non_exhaustive()
    }
}

/// Async functions of a shared value, an argument and a [`Context`]: handlers for a [`StatefulBuilder`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a handler",
    note = "a handler is an `async fn(&self, argument, Context) -> Result<…>` of the value given to `state`"
)]
pub trait StateHandler<'a, S: 'a, A>: Send + Sync {
    /// Result of the function.
    type Output;
    /// Future of the function.
    type Future: Future<Output = Self::Output> + Send + 'a;

    /// Calls the function.
    fn call(&self, state: &'a S, argument: A, context: Context) -> Self::Future;
}

impl<'a, S, A, H, F> StateHandler<'a, S, A> for H
where
    S: 'a,
    H: Fn(&'a S, A, Context) -> F + Send + Sync,
    F: Future + Send + 'a,
{
    type Output = F::Output;
    type Future = F;

    fn call(&self, state: &'a S, argument: A, context: Context) -> F {
        self(state, argument, context)
    }
}
