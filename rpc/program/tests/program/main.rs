//! The program `rpc` as people run it: against services that are registered at a zk-mini, over TCP.
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap as the tests do")]

mod certificates;
mod commands;
mod load;
mod scene;
mod streams;
mod tls;
