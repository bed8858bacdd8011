//! Clients in Python with our servers, and ours with servers in Python.

mod exchange;
mod operations;
mod rpc;
mod services;
mod torture;
mod tutorial;
