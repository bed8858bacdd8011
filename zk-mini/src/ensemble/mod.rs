//! Servers of a simulated ensemble, as tests break them.

mod handle;
mod server;

pub use server::Server;
