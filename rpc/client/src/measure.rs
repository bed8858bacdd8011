//! The measure of a call, or of one attempt at it.

use std::ops::Deref;
use std::time::Duration;

use rpc_metrics::CallSeries;
use rpc_wire::Code;
use tokio::time::Instant;

/// Call, or attempt, on its way. Its end is recorded when this is dropped.
#[derive(Debug)]
pub(crate) struct Measure<C: Deref<Target = CallSeries>> {
    calls: C,
    begun: Instant,
    /// Time of the end, and the code of the result; `None` until there is one.
    end: Option<(Instant, Code)>,
}

impl<C: Deref<Target = CallSeries>> Measure<C> {
    /// Records the start of a call that has begun at this time.
    pub(crate) fn start(calls: C, begun: Instant) -> Self {
        calls.start();
        Self { calls, begun, end: None }
    }

    /// Notes the end. Without it the call counts as cancelled.
    pub(crate) fn end(&mut self, at: Instant, code: Code) {
        self.end = Some((at, code));
    }

    /// Returns the time from the start to another time.
    pub(crate) fn took(&self, until: Instant) -> Duration {
        until.saturating_duration_since(self.begun)
    }
}

impl<C: Deref<Target = CallSeries>> Drop for Measure<C> {
    fn drop(&mut self) {
        let (at, code) = self.end.unwrap_or_else(|| (Instant::now(), Code::CANCELLED));
        self.calls.end(code.0, self.took(at));
    }
}
