//! Clients in Python with our servers, and ours with servers in Python.

mod operations;
mod rpc;
mod services;
mod torture;
mod tutorial;
