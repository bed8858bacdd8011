//! The HTTP side of zk-mini.

#![forbid(unsafe_code)]
