//! Every call over a real connection.

#![allow(clippy::unwrap_used, reason = "tests")]

mod page;
mod port;
mod support;
