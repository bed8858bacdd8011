//! HTTP of zk-mini: what the ZooKeeper protocol does not tell.

mod connection;
mod identify;
mod options;
mod sse;
mod target;

pub(super) use connection::{Connection, connect, encoded};
pub(super) use options::HttpArgs;
pub(super) use sse::{Parser, SseEvent};
