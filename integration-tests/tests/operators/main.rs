//! The tools of ZooKeeper's operators: the AdminServer and the metrics for Prometheus, compared with those of Apache ZooKeeper
//! 3.8 and 3.9 on the same state.
#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as the tests do")]

mod admin;
mod ensemble;
mod metrics;
mod scene;
