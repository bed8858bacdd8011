//! An RPC client: finds the instances of a service in the registry, balances calls over them, and tries again
//! what may be tried again.
//!
//! Inside, `pool` (which connections there should be, which one takes a call), `retry` (may a call be tried
//! again) and `targets` (from nodes to addresses) decide without I/O; the rest is the shell around them.
#![forbid(unsafe_code)]

mod call;
mod client;
mod clock;
mod connection;
mod error;
mod hello;
mod links;
mod pool;
mod retry;
mod stats;
mod targets;

pub use call::Call;
pub use client::{Client, ClientBuilder};
pub use error::Error;
pub use rpc_wire::{Code, Format, Status};
pub use stats::{InstanceStats, Stats};
