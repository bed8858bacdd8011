//! The part of the crate `testcontainers` that the tests of zookeeper-client use, with a server of zk-mini in place of each
//! container: `zkServer.sh`, first on the PATH, stands for it.

pub mod clients;
mod container;
pub mod core;
pub mod images;
