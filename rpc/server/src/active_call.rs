//! A call that continues after its first poll.

use std::sync::Arc;

use rpc_metrics::CallSeries;
use tokio::time::Instant;

use crate::clock;
use crate::context::CallState;
use crate::scope::CallScope;
use crate::shared::Shared;

/// Call on a task of its own. Dropping it ends the call and records its end, so that an aborted call is counted, too.
pub(crate) struct ActiveCall {
    pub(crate) shared: Arc<Shared>,
    pub(crate) state: Arc<CallState>,
    pub(crate) scope: CallScope,
    begun: Instant,
}

impl ActiveCall {
    pub(crate) fn new(shared: &Arc<Shared>, state: Arc<CallState>, scope: CallScope, begun: Instant) -> Self {
        Self { shared: Arc::clone(shared), state, scope, begun }
    }

    /// Returns the series of its method.
    pub(crate) fn series(&self) -> &CallSeries {
        self.shared.session.metrics.method(self.state.method().index())
    }
}

impl Drop for ActiveCall {
    fn drop(&mut self) {
        let code = self.scope.code().unwrap_or_else(|| {
            let aborted = self.state.aborted();
            self.scope.end(aborted);
            aborted
        });
        self.series().end(code.0, clock::now().duration_since(self.begun));
        CallState::end(&self.state);
    }
}
