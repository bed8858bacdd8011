//! This build opens the data directories of earlier commits and answers their clients; `integration-tests/compat` has them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod directory;
mod rpc;
mod traffic;
