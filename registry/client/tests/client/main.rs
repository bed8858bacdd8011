//! The public API: against zk-mini in memory, and against scripted servers for behaviour that zk-mini does not have.

#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap as the tests do")]

mod addresses;
mod ensemble;
mod faults;
mod operations;
mod pasts;
mod persistent;
mod random_watches;
mod reads;
mod runtime;
mod scripted;
mod sessions;
mod shared_clock;
mod support;
#[cfg(feature = "tls")]
mod tls;
mod transactions;
