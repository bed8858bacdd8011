//! The client as its users meet it, against real servers and against servers that misbehave on purpose.
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap as the tests do")]

mod balancing;
#[cfg(feature = "tls")]
mod certificates;
mod chains;
mod connection_age;
mod connections;
mod deadlines;
mod direct;
mod direct_ports;
mod discovery;
#[cfg(feature = "tower")]
mod layers;
mod metadata;
mod metrics;
mod overload;
mod retries;
mod scripted;
mod servers;
mod sessions;
mod simulated;
mod streams;
mod streams_again;
#[cfg(feature = "tls")]
mod tls;
mod traces;
mod typed;
