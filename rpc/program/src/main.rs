//! The program `rpc`.
#![forbid(unsafe_code)]

fn main() {}
