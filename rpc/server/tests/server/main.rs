//! The server as clients meet it, byte by byte; each test in a process of its own, because some measure memory.
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap as the tests do")]

mod calls;
#[cfg(feature = "tower")]
mod layers;
mod limits_and_drain;
mod listeners;
mod log;
mod memory;
mod metrics;
mod overload;
mod peer;
mod prefork;
mod python;
mod queue;
mod services;
mod spans;
mod stateful;
mod status;
mod streams;
