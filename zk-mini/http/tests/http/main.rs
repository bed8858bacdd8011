//! Every call over a real connection.

#![allow(clippy::unwrap_used, reason = "tests")]

mod admin;
mod controller;
mod diff;
mod hostile;
mod lifecycle;
mod metrics;
mod nodes;
mod openapi;
mod page;
mod port;
mod security;
mod snapshot;
mod status;
mod support;
mod tree;
