//! Libraries that our RPC is compared with.
#![forbid(unsafe_code)]

pub mod raw;
pub mod tarpc_peer;
pub mod tonic_peer;
