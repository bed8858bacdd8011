//! State that all connections of a server share.

use std::sync::Arc;

use common::Clock;
use tokio::sync::Semaphore;

use crate::quota::Quota;
use crate::service::Handler;
use crate::session::SessionConfig;

/// What the connections of a server have in common.
pub(crate) struct Shared {
    pub(crate) session: Arc<SessionConfig>,
    /// Handlers in the order of the session's methods.
    pub(crate) handlers: Vec<Handler>,
    pub(crate) quota: Option<Arc<Quota>>,
    /// For connections whose calls take long.
    pub(crate) turns: Arc<Semaphore>,
    pub(crate) clock: Clock,
}
