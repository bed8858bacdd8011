//! Clients in Python and Java with our servers, and ours with servers in Python.

mod exchange;
mod formats;
mod locks;
mod metrics;
mod operations;
mod recipes;
mod rpc;
mod sasl;
mod secured;
mod services;
mod torture;
mod tutorial;
