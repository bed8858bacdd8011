//! Bounds on the work that a server takes on, as plain state machines: a limit on calls in flight that follows its capacity, and the queue in
//! front of it. `gate` puts the limit under a lock, with a clock.

mod adaptive;
mod gate;
mod queue;
#[cfg(test)]
mod simulation;

pub(crate) use gate::{CallCount, Gate, TimedCall};
pub(crate) use queue::{WaitQueue, wait_until};
