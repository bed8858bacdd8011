//! The rooms that move bytes, read clocks and wait: all of zk-mini that names tokio, but for its users' handles.

pub(crate) mod chunks;
pub(crate) mod clock;
pub(crate) mod connection;
pub(crate) mod connections;
pub(crate) mod connector;
pub(crate) mod door;
pub(crate) mod engine;
pub(crate) mod gather;
pub(crate) mod journal;
pub(crate) mod keeper;
pub(crate) mod limits;
pub(crate) mod listener;
pub(crate) mod opening;
pub(crate) mod outbox;
pub(crate) mod panics;
pub(crate) mod remote;
pub(crate) mod runtime;
pub(crate) mod state;
pub(crate) mod stats;
pub(crate) mod surroundings;
pub(crate) mod time;
pub(crate) mod turn;
pub(crate) mod turn_log;
pub(crate) mod words;
