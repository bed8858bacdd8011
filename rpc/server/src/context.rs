//! Circumstances of a call.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use common::current_call::CurrentCall;
use rpc_wire::MetadataRef;
use tokio::time::Instant;

use crate::clock;
use crate::session::{MethodId, SessionConfig};

/// Circumstances of one call, for its handler. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Context {
    pub(crate) connection: Arc<ConnectionInfo>,
    pub(crate) method: MethodId,
    pub(crate) deadline: Option<Instant>,
    /// Boxed, because most calls have none.
    pub(crate) metadata: Option<Arc<rpc_wire::Metadata>>,
}

/// Circumstances that all calls of a connection share.
#[derive(Debug)]
pub(crate) struct ConnectionInfo {
    pub(crate) config: Arc<SessionConfig>,
    pub(crate) peer: SocketAddr,
}

impl Context {
    /// Returns the name of the service.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.connection.config.service
    }

    /// Returns the name of the method.
    #[must_use]
    pub fn method(&self) -> &str {
        self.connection.config.methods.name(self.method)
    }

    /// Returns the names and values that the caller sent beside the argument.
    #[must_use]
    pub fn metadata(&self) -> MetadataRef<'_> {
        self.metadata.as_deref().map(rpc_wire::Metadata::as_ref).unwrap_or_default()
    }

    /// Returns the time for which the caller will still wait: zero after the deadline, `None` if there is no deadline.
    ///
    /// Calls that the handler itself makes by `rpc-client` end by then at the latest, without being told. The handler is
    /// dropped at its next `await` after the deadline, so only handlers that compute for long without an `await` need to check
    /// it.
    pub fn time_left(&self) -> Option<Duration> {
        self.deadline.map(|at| at.saturating_duration_since(clock::now()))
    }

    /// Returns a future that runs inside this call, for a task of its own: calls that it makes by `rpc-client` inherit this
    /// call's deadline. It goes on after the handler has ended or was dropped, unless its task is aborted.
    ///
    /// ```
    /// use rpc_server::{Context, Service, Status};
    ///
    /// # async fn call_another_service() -> u32 { 1 }
    /// let count = |(): (), cx: Context| async move {
    ///     let counted = tokio::spawn(cx.scope(call_another_service())).await;
    ///     counted.map_err(|error| Status::internal(error.to_string()))
    /// };
    /// let service = Service::builder("shop").method("count", count).build();
    /// ```
    pub fn scope<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        self.current_call().scope(future)
    }

    /// Returns what calls made inside this one inherit.
    pub(crate) fn current_call(&self) -> CurrentCall {
        CurrentCall { deadline: self.deadline }
    }

    /// Returns the address of the client.
    pub fn peer(&self) -> SocketAddr {
        self.connection.peer
    }
}
