//! The codec from outside: recorded frames, properties, and views beside records.
#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as the tests do")]

mod golden;
mod properties;
mod views;
