//! Services whose handlers are methods of one value.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::context::Context;
use crate::error::HandlerError;
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
        let with_state = move |argument: A, context: Context| {
            let (state, handler) = (Arc::clone(&state), Arc::clone(&handler));
            async move { handler.call(&state, argument, context).await }
        };
        Self { builder: self.builder.method(name, with_state), ..self }
    }

    /// Returns the service.
    pub fn build(self) -> Service {
        self.builder.build()
    }
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
