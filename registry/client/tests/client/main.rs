//! The public API: against zk-mini in memory, and against scripted servers where zk-mini behaves too well.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may, too")]

mod addresses;
mod operations;
mod pasts;
mod persistent;
mod runtime;
mod scripted;
mod sessions;
mod support;
mod transactions;
