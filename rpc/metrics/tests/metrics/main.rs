//! Metrics as their users see them.
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap as the tests do")]

mod dashboard;
mod text;
mod threads;
