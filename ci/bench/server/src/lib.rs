//! Common parts of the benchmarks of ZooKeeper servers: a load generator with a codec of its own, and servers as commands.
#![forbid(unsafe_code)]

pub mod bulk;
pub mod closed_loop;
pub mod codec;
pub mod scenario;
pub mod server;
pub mod session;
pub mod workload;
