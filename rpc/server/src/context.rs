//! Circumstances of a call.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU8};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use common::Identity;
use common::current_call::CurrentCall;
use common::log::{quietly, survive};
use rpc_wire::{Code, Metadata, MetadataRef, ReplyWriter, Status};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::clock;
use crate::error::Error;
use crate::session::{self, CallHead, MethodId, SessionConfig};

/// Circumstances of one call, for its handler. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Context(Arc<CallState>);

/// State of one call, shared by its contexts and the task that runs it.
#[derive(Debug)]
pub(crate) struct CallState {
    connection: Arc<ConnectionInfo>,
    method: MethodId,
    deadline: Option<Instant>,
    metadata: Option<Arc<Metadata>>,
    /// Code of the call if its handler does not end by itself.
    aborted: AtomicU8,
    /// The call has passed its layers.
    reached_handler: AtomicBool,
    /// A layer has stopped the call before its handler.
    stopped: AtomicBool,
    /// Made by the first who needs them, because most calls do without.
    extras: OnceLock<Box<Extras>>,
}

/// Circumstances that all calls of a connection share.
#[derive(Debug)]
pub(crate) struct ConnectionInfo {
    pub(crate) config: Arc<SessionConfig>,
    pub(crate) peer: SocketAddr,
    /// Callers get the reasons of internal errors.
    pub(crate) expose_internal_errors: bool,
    /// Boxed, because most connections have none.
    pub(crate) identity: Option<Box<Identity>>,
}

/// Circumstances of one call, as the session tells them.
#[derive(Debug)]
pub(crate) struct NewCall {
    pub(crate) method: MethodId,
    pub(crate) deadline: Option<Instant>,
    pub(crate) metadata: Option<Arc<Metadata>>,
}

/// State that few calls need.
#[derive(Debug, Default)]
struct Extras {
    reply_metadata: Mutex<Metadata>,
    /// The call is over.
    over: watch::Sender<bool>,
    /// Values of layers for the handler, by their types.
    extensions: Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
}

impl Extras {
    fn lock_extensions(&self) -> MutexGuard<'_, HashMap<TypeId, Arc<dyn Any + Send + Sync>>> {
        self.extensions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Context {
    /// Returns the name of the service.
    #[must_use]
    pub fn service(&self) -> &str {
        self.0.connection.config.methods.service_of(self.0.method)
    }

    /// Returns the name of the method.
    #[must_use]
    pub fn method(&self) -> &str {
        self.0.connection.config.methods.name(self.0.method)
    }

    /// Returns the names and values that the caller sent beside the argument.
    #[must_use]
    pub fn metadata(&self) -> MetadataRef<'_> {
        self.0.metadata.as_deref().map(Metadata::as_ref).unwrap_or_default()
    }

    /// Adds a name and a value beside the result, for callers that ask for them; a name may have several values. Callers that
    /// speak version 1 of the protocol do not get them, and a failure carries its own: [`Status::with_metadata`].
    ///
    /// # Errors
    /// `INTERNAL` if the name is not allowed or the limit of 65,535 bytes is reached: the handler can pass it on by `?`.
    pub fn set_reply_metadata(&self, name: &str, value: impl AsRef<[u8]>) -> Result<(), Status> {
        let mut metadata = self.0.extras().reply_metadata.lock().unwrap_or_else(PoisonError::into_inner);
        metadata.push(name, value).map_err(|error| Status::internal(error.to_string()))
    }

    /// Keeps a value for the rest of the call, in place of one of the same type: a layer hands the handler what it has found out,
    /// for example the user.
    pub fn insert_extension<T: Send + Sync + 'static>(&self, value: T) {
        self.0.extras().lock_extensions().insert(TypeId::of::<T>(), Arc::new(value));
    }

    /// Returns the value of this type that a layer has kept.
    #[must_use]
    pub fn extension<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let value = self.0.extras.get()?.lock_extensions().get(&TypeId::of::<T>()).cloned();
        value.and_then(|value| value.downcast().ok())
    }

    /// Returns the answer to the call if its handler failed.
    #[cfg(feature = "tower")]
    pub(crate) fn answer(&self, error: Error) -> Status {
        self.0.answer(error)
    }

    /// Notes that the call has passed its layers.
    #[cfg(feature = "tower")]
    pub(crate) fn reach_handler(&self) {
        self.0.reached_handler.store(true, Relaxed);
    }

    /// Notes that a layer has failed the call, with NOT RUN unless the handler was reached.
    #[cfg(feature = "tower")]
    pub(crate) fn layer_failed(&self) {
        self.0.stopped.store(!self.0.reached_handler.load(Relaxed), Relaxed);
    }

    /// Returns the time for which the caller will still wait: zero after the deadline, `None` if there is no deadline.
    ///
    /// Calls that the handler itself makes by `rpc-client` end by then at the latest, without being told. The handler is
    /// dropped at its next `await` after the deadline, so only handlers that compute for long without an `await` need to check
    /// it.
    pub fn time_left(&self) -> Option<Duration> {
        self.0.deadline.map(|at| at.saturating_duration_since(clock::now()))
    }

    /// Completes when the call is over: the caller has cancelled it, its deadline has passed, its connection has ended, or it
    /// has been answered. For work that the handler has spawned; the handler itself is dropped.
    ///
    /// ```
    /// use rpc_server::{Context, Status};
    ///
    /// async fn search(text: String, context: Context) -> Result<usize, Status> {
    ///     let cancelled = context.cancelled();
    ///     let searching = tokio::spawn(async move {
    ///         tokio::select! {
    ///             biased;
    ///             () = cancelled => 0, // nobody waits any more
    ///             found = std::future::ready(text.len()) => found,
    ///         }
    ///     });
    ///     searching.await.map_err(|error| Status::internal(error.to_string()))
    /// }
    /// ```
    pub fn cancelled(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut over = self.0.extras().over.subscribe();
        async move {
            // The state of a call is dropped only after its end.
            let _ = over.wait_for(|over| *over).await;
        }
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
        let metadata = self.0.metadata.clone();
        CurrentCall { deadline: self.0.deadline, metadata: metadata.map(|metadata| metadata as _) }
    }

    /// Returns who the client is, by the certificate that it has proved; `None` without one, and without TLS.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        self.0.connection.identity.as_deref()
    }

    /// Returns the address of the client.
    pub fn peer(&self) -> SocketAddr {
        self.0.connection.peer
    }
}

impl CallState {
    /// Returns the answer to the call if its handler failed. The reason of an internal error goes to the log. An error that panics, in
    /// its text or its destructor, is answered as a handler that does.
    pub(crate) fn answer(&self, error: Error) -> Status {
        survive(|| self.status_of(error)).unwrap_or_else(|_| session::panicked())
    }

    fn status_of(&self, error: Error) -> Status {
        let Some(reason) = error.internal_reason() else { return error.into_status() };
        let ConnectionInfo { config, peer, expose_internal_errors, .. } = &*self.connection;
        let (service, method) = (config.methods.service_of(self.method), config.methods.name(self.method));
        quietly(|| tracing::error!(%peer, service, method, %reason, "handler failed"));
        if *expose_internal_errors { Status::internal(reason) } else { error.into_status() }
    }

    /// Creates the state of a call that begins.
    pub(crate) fn new(connection: Arc<ConnectionInfo>, new: NewCall) -> Self {
        let NewCall { method, deadline, metadata } = new;
        Self {
            connection,
            method,
            deadline,
            metadata,
            aborted: AtomicU8::new(Code::CANCELLED.0),
            reached_handler: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            extras: OnceLock::new(),
        }
    }

    /// Makes `last` the state of a call that begins if no context of it is left, so that most calls allocate none.
    pub(crate) fn renew(last: Arc<Self>, new: NewCall) -> Arc<Self> {
        let mut state = last;
        let Some(reused) = Arc::get_mut(&mut state) else {
            return Arc::new(Self::new(Arc::clone(&state.connection), new));
        };
        NewCall { method: reused.method, deadline: reused.deadline, metadata: reused.metadata } = new;
        (*reused.reached_handler.get_mut(), *reused.stopped.get_mut()) = (false, false);
        reused.extras.take();
        state
    }

    /// Returns true if something was added to the call: metadata of the reply, or extensions.
    pub(crate) fn has_extras(&self) -> bool {
        self.extras.get().is_some()
    }

    /// Returns the method that was called.
    pub(crate) fn method(&self) -> MethodId {
        self.method
    }

    /// Records the code of a call that is aborted.
    pub(crate) fn abort(&self, code: Code) {
        self.aborted.store(code.0, Relaxed);
    }

    /// Returns the code of the call if its handler has not ended by itself.
    pub(crate) fn aborted(&self) -> Code {
        Code(self.aborted.load(Relaxed))
    }

    /// Returns a context for the handler.
    pub(crate) fn context(state: &Arc<Self>) -> Context {
        Context(Arc::clone(state))
    }

    /// Writes the handler's metadata into its reply, if the client takes them.
    pub(crate) fn write_metadata(&self, call: &CallHead, reply: &mut ReplyWriter<'_>) {
        if let Some(extras) = self.extras.get().filter(|_| call.has_metadata()) {
            let metadata = extras.reply_metadata.lock().unwrap_or_else(PoisonError::into_inner);
            reply.set_metadata(metadata.as_ref());
        }
    }

    /// Appends the reply of a call that failed, with NOT RUN if it did not reach its handler. Returns its code.
    pub(crate) fn write_failure(&self, call: &CallHead, error: Error, out: &mut Vec<u8>) -> Code {
        let status = &self.answer(error);
        if self.stopped.load(Relaxed) {
            call.refuse(status, out);
        } else {
            call.fail(status, out);
        }
        status.code
    }

    /// Tells the contexts that are left that the call is over.
    pub(crate) fn end(state: &Arc<Self>) {
        // A context that asks later has to find out, too.
        if Arc::strong_count(state) > 1 {
            state.extras().over.send_replace(true);
        }
    }

    fn extras(&self) -> &Extras {
        self.extras.get_or_init(Box::default)
    }
}
