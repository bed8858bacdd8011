//! The program as its users start it: a real process, real signals, real ports.
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap as the tests do")]

mod audit;
mod client;
mod config;
mod exec;
mod exec_options;
#[path = "../../../tests/shell/files.rs"]
mod files;
mod http;
mod listen;
mod load;
mod log;
mod notify;
mod offline;
mod process;
#[allow(dead_code, reason = "the tests of the library use the rest")]
#[path = "../../../tests/shell/raw.rs"]
mod raw;
mod ready;
mod sasl;
mod serve;
mod servers;
mod stopped;
mod torture;
