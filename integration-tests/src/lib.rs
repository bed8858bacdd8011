//! Harness of the tests that run everything together: real processes, real signals, real kazoo, real ZooKeeper.
//!
//! It blocks its thread: tests that share a runtime with it use `#[tokio::test(flavor = "multi_thread")]`.

#![forbid(unsafe_code)]

pub mod compat;
pub mod differential;
pub mod ensemble;
pub mod four_letter;
pub mod ports;
pub mod process;
pub mod procfs;
pub mod programs;
pub mod raw;
pub mod scenarios;
pub mod wait;
