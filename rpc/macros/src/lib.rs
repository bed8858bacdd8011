//! The attribute `service`: a typed RPC service, and its client, of a trait. Use it as `rpc_server::service` and
//! `rpc_client::service`.
#![forbid(unsafe_code)]
