//! The program as its users start it: a real process, real signals, real ports.
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap as the tests do")]

mod config;
mod exec;
mod listen;
mod log;
mod process;
mod serve;
mod stopped;
