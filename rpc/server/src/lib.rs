//! An RPC server: typed async handlers, deadlines, limits, and a drain that loses no call.
//!
//! [`Service`] says what is served, [`Server`] serves it on a listener, [`Prefork`] serves it by several
//! processes that announce themselves in the registry. The protocol is `rpc-wire`'s, the
//! hot path is: read once, handle every complete frame, encode all replies into one buffer, write once.
#![forbid(unsafe_code)]

mod acceptor;
mod announcer;
mod call_task;
mod clock;
mod connection_task;
mod context;
mod limits;
mod log;
mod outbox;
mod peers;
mod plan;
mod prefork;
mod quota;
mod server;
mod service;
#[doc(hidden)]
pub mod session;
mod shared;
mod worker;

pub use context::Context;
pub use limits::Limits;
pub use prefork::{Prefork, PreforkError};
pub use rpc_prefork::Options as PreforkOptions;
pub use rpc_wire::{Code, Format, Status};
pub use server::{Drained, Server};
pub use service::{Service, ServiceBuilder};
