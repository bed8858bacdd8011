//! The measure of a call.

use rpc_metrics::CallSeries;
use rpc_wire::Code;
use tokio::time::Instant;

/// Call on its way. Its end is recorded when this is dropped.
#[derive(Debug)]
pub(crate) struct Measure<'a> {
    calls: &'a CallSeries,
    begun: Instant,
    /// Time of the end, and the code of the result; `None` until there is one.
    end: Option<(Instant, Code)>,
}

impl<'a> Measure<'a> {
    /// Records the start of a call that has begun at this time.
    pub(crate) fn start(calls: &'a CallSeries, begun: Instant) -> Self {
        calls.start();
        Self { calls, begun, end: None }
    }

    /// Notes the end. Without it the call counts as cancelled.
    pub(crate) fn end(&mut self, at: Instant, code: Code) {
        self.end = Some((at, code));
    }
}

impl Drop for Measure<'_> {
    fn drop(&mut self) {
        let (at, code) = self.end.unwrap_or_else(|| (Instant::now(), Code::CANCELLED));
        self.calls.end(code.0, at.saturating_duration_since(self.begun));
    }
}
