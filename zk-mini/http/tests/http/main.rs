//! Every call over a real connection.

#![allow(clippy::unwrap_used, reason = "tests")]

mod admin;
mod clock;
mod controller;
mod diff;
mod events;
mod explain;
mod faults;
mod history;
mod hostile;
mod lifecycle;
mod metrics;
mod nodes;
mod openapi;
mod page;
mod port;
mod security;
mod servers;
mod sessions;
mod snapshot;
mod status;
mod support;
mod tree;
