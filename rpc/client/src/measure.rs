//! The measure of a call, or of one attempt at it.

use std::ops::Deref;

use rpc_metrics::CallSeries;
use rpc_wire::Code;
use tokio::time::Instant;

/// Call, or attempt, on its way. Its end is recorded when this is dropped.
#[derive(Debug)]
pub(crate) struct Measure<C: Deref<Target = CallSeries>> {
    calls: C,
    begun: Instant,
    /// Code of the result; CANCELLED until there is one.
    pub(crate) code: Code,
}

impl<C: Deref<Target = CallSeries>> Measure<C> {
    /// Records the start of a call that has begun at this time.
    pub(crate) fn start(calls: C, begun: Instant) -> Self {
        calls.start();
        Self { calls, begun, code: Code::CANCELLED }
    }
}

impl<C: Deref<Target = CallSeries>> Drop for Measure<C> {
    fn drop(&mut self) {
        self.calls.end(self.code.0, self.begun.elapsed());
    }
}
