//! Every call over a real connection.

#![allow(clippy::unwrap_used, reason = "tests")]

mod controller;
mod diff;
mod hostile;
mod lifecycle;
mod nodes;
mod openapi;
mod page;
mod port;
mod security;
mod snapshot;
mod status;
mod support;
mod tree;
