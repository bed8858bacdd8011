//! Every call over a real connection.

#![allow(clippy::unwrap_used, reason = "tests")]

mod lifecycle;
mod nodes;
mod openapi;
mod page;
mod port;
mod snapshot;
mod status;
mod support;
mod tree;
