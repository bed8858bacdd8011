//! An RPC client: finds the instances of a service in the registry, balances calls over them, and tries again
//! what may be tried again.
//!
//! Inside, `pool` (which connections there should be, which one takes a call), `retry` (may a call be tried
//! again) and `targets` (from nodes to addresses) decide without I/O; the rest is the shell around them.
#![forbid(unsafe_code)]

mod attempts;
mod call;
mod client;
mod connector;
mod error;
mod link;
mod links;
mod pool;
mod retry;
#[doc(hidden)]
pub mod session;
mod shared;
mod stats;
mod targets;

pub use call::Call;
pub use client::{Client, ClientBuilder};
pub use error::Error;
pub use rpc_wire::{Code, Format, Status};
pub use stats::{InstanceStats, Stats};
