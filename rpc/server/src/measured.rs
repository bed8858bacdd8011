//! The measure of a call that continues after its first poll.

use std::sync::Arc;

use rpc_metrics::CallSeries;
use rpc_wire::Code;
use tokio::time::Instant;

use crate::clock;
use crate::scope::CallScope;
use crate::session::MethodId;
use crate::shared::Shared;

/// Call that continues. Its end is recorded when this is dropped, so that an aborted call is counted, too.
pub(crate) struct MeasuredCall {
    shared: Arc<Shared>,
    method: MethodId,
    begun: Instant,
    deadline: Option<Instant>,
    pub(crate) scope: CallScope,
}

impl MeasuredCall {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        method: MethodId,
        begun: Instant,
        deadline: Option<Instant>,
        scope: CallScope,
    ) -> Self {
        Self { shared: Arc::clone(shared), method, begun, deadline, scope }
    }

    /// Returns the series of its method.
    pub(crate) fn calls(&self) -> &CallSeries {
        self.shared.session.metrics.method(self.method.index())
    }
}

impl Drop for MeasuredCall {
    fn drop(&mut self) {
        let now = clock::now();
        let code = self.scope.code().unwrap_or_else(|| {
            let is_late = self.deadline.is_some_and(|at| at <= now);
            let aborted = if is_late { Code::DEADLINE_EXCEEDED } else { Code::CANCELLED };
            self.scope.end(aborted);
            aborted
        });
        self.calls().end(code.0, now.duration_since(self.begun));
    }
}
