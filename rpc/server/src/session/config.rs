//! Settings of sessions.

use std::sync::Arc;

use rpc_metrics::ServerMetrics;

use super::call_quota::CallQuota;
use super::methods::MethodTable;
use crate::limits::Limits;

/// Settings and tables that all sessions of a server share.
#[derive(Debug)]
pub struct SessionConfig {
    /// Identity of this process.
    pub instance: String,
    /// Limits of the server.
    pub limits: Limits,
    /// Services and their methods.
    pub methods: MethodTable,
    /// Number of calls after which the process is to be replaced.
    pub quota: Option<Arc<CallQuota>>,
    /// Counts of refused calls; the owner counts the others.
    pub metrics: Arc<ServerMetrics>,
}
