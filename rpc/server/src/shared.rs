//! State shared by all connections of a server.

use std::sync::Arc;

use common::TokioClock;
use tokio::sync::Semaphore;

use crate::handler::Handler;
use crate::retirement::Retirement;
use crate::scope::ParentHook;
use crate::session::SessionConfig;

/// Settings, handlers and counters of a server.
pub(crate) struct Shared {
    pub(crate) session: Arc<SessionConfig>,
    /// Handlers in the order of the methods in `session`.
    pub(crate) handlers: Vec<Handler>,
    /// Callers get the reasons of internal errors.
    pub(crate) expose_internal_errors: bool,
    pub(crate) retirement: Option<Arc<Retirement>>,
    pub(crate) parent_hook: Option<ParentHook>,
    /// Turns of connections whose calls take long.
    pub(crate) turns: Arc<Semaphore>,
    pub(crate) clock: TokioClock,
}
