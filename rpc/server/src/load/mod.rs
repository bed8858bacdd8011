//! How much a server takes on: a limit on calls in flight that follows its capacity, as a plain state machine. `gate` puts it under a
//! lock, with a clock.

mod adaptive;
mod gate;
#[cfg(test)]
mod simulation;

pub(crate) use gate::{Gate, TimedCall};
