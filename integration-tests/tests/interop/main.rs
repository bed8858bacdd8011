//! Clients in other languages with our servers, and ours with theirs.

mod operations;
mod rpc;
mod services;
mod tutorial;
