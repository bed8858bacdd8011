//! The `zk-mini` program as users start it.

mod bad_input;
mod exec;
mod killed;
mod serve;
