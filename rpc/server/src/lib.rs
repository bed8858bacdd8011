//! An RPC server: typed async handlers, deadlines, limits, and a drain that loses no call. The client is the crate
//! `rpc-client`.
//!
//! ```
//! use rpc_client::Client;
//! use rpc_server::{Code, Context, Limits, Server, Service, Status};
//! use serde::{Deserialize, Serialize};
//! use tokio::net::TcpListener;
//! use tokio::sync::oneshot;
//!
//! #[derive(Deserialize, Serialize)]
//! struct Order {
//!     item: String,
//!     count: u32,
//! }
//!
//! // A handler takes any type of serde and returns any type of serde, or a status: a code and a message.
//! async fn price(order: Order, _: Context) -> Result<u32, Status> {
//!     match order.item.as_str() {
//!         "tea" => Ok(3 * order.count),
//!         item => Err(Status::not_found(format!("no {item} here"))),
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A service is a name and methods.
//! let service = Service::builder("shop").method("price", price).build();
//!
//! // A server serves it on a listener until the future completes, for example that of a signal.
//! let mut limits = Limits::default();
//! limits.in_flight = 100;
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! let addr = listener.local_addr()?.to_string();
//! let (stop, stopped) = oneshot::channel::<()>();
//! let serving = Server::new(service).limits(limits).serve(listener, async { drop(stopped.await) });
//! let serving = tokio::spawn(serving);
//!
//! // A client calls it.
//! let client = Client::direct("shop", [addr]).connect().await?;
//! let price: u32 = client.call("price", &Order { item: "tea".into(), count: 2 }).await?;
//! assert_eq!(price, 6);
//! let coffee = Order { item: "coffee".into(), count: 1 };
//! let error = client.call::<_, u32>("price", &coffee).await.expect_err("no result");
//! assert_eq!(error.code(), Code::NOT_FOUND);
//!
//! // A drain: the server accepts nothing new, finishes the running calls, and returns.
//! drop(stop);
//! assert_eq!(serving.await??.cut, 0);
//! # Ok(())
//! # }
//! ```
//!
//! The folder `examples` has whole programs: a typed service, a drain, an overload, a service that registers itself, a
//! preforked service.
//!
//! # Parts
//! | type | purpose |
//! | --- | --- |
//! | [`Service`] | named methods with typed async handlers: unary, or with a stream of messages in either direction or both |
//! | [`Messages`] | the client's messages of a call, for its handler |
//! | [`Context`] | the deadline and the peer of a call, for its handler |
//! | [`Error`] | a status for the caller, or an error of any kind, by `?` |
//! | [`Server`] | serves one or more services on a listener, in this process |
//! | [`in_memory`], [`Server::in_memory`] | a service without sockets, for tests |
//! | [`Listener`] | another transport than TCP, for [`Server::serve_on`] |
//! | [`Announcement`] | the entry of a server in a registry, where clients find it |
//! | [`Prefork`] | serves a service, or a whole [`Server`], from several worker processes that register themselves and are replaced when they die |
//! | [`Limits`] | bounds on connections, calls, memory and times |
//! | [`Server::metrics`], [`Server::status`], [`Prefork::status`] | counts and latencies, in the process and on a port for Prometheus |
//! | [`Server::span_parent`] | joins the spans of `tracing` to those of the callers |
//!
//! # Answers of the server
//! | event | answer |
//! | --- | --- |
//! | the handler fails | its [`Status`]; `INTERNAL` for an error that is none |
//! | the handler panics | `INTERNAL` |
//! | the method is unknown, or of another kind | `UNIMPLEMENTED`, not run |
//! | the argument does not decode | `INVALID_ARGUMENT`, not run |
//! | the deadline passes | `DEADLINE_EXCEEDED`; the handler is dropped, or not run |
//! | the client cancels the call or leaves | none; the handler is dropped |
//! | a limit is reached, or too little time is left to run the call | `RESOURCE_EXHAUSTED`, not run |
//! | the reply is over a limit | `RESOURCE_EXHAUSTED` |
//! | the server drains | `UNAVAILABLE`, not run: another instance can take the call |
//!
//! Clients may send a call that was not run to another instance without harm.
//!
//! # Overload
//! A server refuses at once what it cannot do, and the client hears that nothing of it ran. [`Limits`] answer these questions:
//!
//! | question | limits |
//! | --- | --- |
//! | How many calls run at a time? | [`in_flight`](Limits::in_flight), [`in_flight_per_peer`](Limits::in_flight_per_peer), [`in_flight_per_connection`](Limits::in_flight_per_connection) |
//! | And if nobody knows the right number? | [`adaptive`](Limits::adaptive): it follows the capacity |
//! | May calls of a short burst wait? | [`queue`](Limits::queue), [`queue_timeout`](Limits::queue_timeout) |
//! | How much memory do clients take? | [`bytes`](Limits::bytes), [`bytes_per_peer`](Limits::bytes_per_peer), [`argument_bytes`](Limits::argument_bytes), [`reply_bytes`](Limits::reply_bytes), [`stream_window`](Limits::stream_window), [`connection_window`](Limits::connection_window), [`max_frame`](Limits::max_frame) |
//! | How many clients are there? | [`connections`](Limits::connections), [`connections_per_peer`](Limits::connections_per_peer) |
//! | How slow or silent are they? | [`hello_timeout`](Limits::hello_timeout), [`frame_timeout`](Limits::frame_timeout), [`write_timeout`](Limits::write_timeout), [`idle_timeout`](Limits::idle_timeout) |
//! | When do they look for new instances? | [`connection_age`](Limits::connection_age) |
//! | How long does a drain take? | [`drain_timeout`](Limits::drain_timeout), [`linger`](Limits::linger) |
//!
//! There is nothing to set for calls that come too late: one that has waited is refused if its deadline leaves less than twice
//! the time that its method usually keeps a thread. The example `overload` shows clients that send four times what a server can
//! do: nearly all of what it does is in vain, and with `adaptive` nearly nothing.
//!
//! # Announced in a registry
//! A [`Server`] with [`announce`](Server::announce) and the workers of a [`Prefork`] have an entry of these fields in the registry.
//!
//! | field | meaning |
//! | --- | --- |
//! | `host`, `port` | the address to connect to; workers share it, and any of them may accept |
//! | [`instance`](INSTANCE_FIELD) | the identity of the process, which is also in its hello |
//! | [`direct`](DIRECT_FIELD) | `{"host": …, "port": …}`: the address of this worker alone; `Prefork::direct_ports` |
//! | `slot`, `pid` | of a worker |
//!
//! Whoever knows only `host` and `port` reaches the service, too. An entry is withdrawn before its server drains, and made again
//! after the session has expired; a server serves whatever happens to the registry.
//!
//! # Features
//! | feature | default | effect |
//! | --- | --- | --- |
//! | `tls` | no | [`Server::tls`]: TLS, also mutual, with rustls; [`Context::identity`] |
//! | `tower` | no | [`Server::layer`], [`Service::layer`]: layers of tower around methods |
//!
//! # Systems
//! Linux; macOS without [`Prefork`], whose processes need Linux's system calls: there start several processes with a
//! [`Server`] each. Not Windows.
//!
//! # Inside
//! The module `session` decides without I/O: it is one connection, from hello to drain. `acceptor`, `connection_task`,
//! `call_task`, `running_call`, `waiting_call` and `stream_task` are the shell around it. On the hot path a connection reads once, handles every complete frame, encodes all
//! replies into one buffer and writes once. The protocol is that of the crate `rpc-wire`.
#![forbid(unsafe_code)]
// Only workers retire, and only Linux has them.
#![cfg_attr(not(target_os = "linux"), allow(dead_code))]

mod acceptor;
mod active_call;
mod announce;
mod call_task;
mod chance;
mod clock;
mod connection_task;
mod context;
mod error;
mod handler;
mod health;
mod inbox;
#[cfg(feature = "tower")]
pub mod layer;
mod limits;
mod listener;
mod load;
mod log;
mod memory;
mod messages;
mod names;
mod open_connections;
mod peers;
#[cfg(target_os = "linux")]
mod prefork;
mod reflect;
mod retirement;
mod running_call;
mod scope;
mod server;
mod service;
#[doc(hidden)]
pub mod session;
mod shared;
mod shared_reply_queue;
mod spare;
mod stateful;
mod status;
mod stream_task;
#[cfg(feature = "tls")]
mod tls;
mod type_name;
mod typed;
mod waiting_call;

pub use announce::Announcement;
pub use common::Identity;
#[cfg(feature = "tls")]
pub use common::tls::{Pem, ServerTls as Tls, ServerTlsConfig as TlsConfig, TlsError, TlsVersion};
pub use context::Context;
pub use error::{Error, HandlerError, Result};
pub use health::Health;
pub use limits::Limits;
pub use listener::Listener;
pub use memory::{MemoryConnector, MemoryListener, in_memory};
pub use messages::Messages;
pub use open_connections::OpenConnections;
#[cfg(target_os = "linux")]
pub use prefork::{Prefork, PreforkError};
pub use rpc_metrics::ServerMetrics;
#[cfg(target_os = "linux")]
pub use rpc_prefork::Options as PreforkOptions;
pub use rpc_wire::{Code, DIRECT_FIELD, Format, INSTANCE_FIELD, Metadata, MetadataRef, RetryAfter, Status};
pub use rpc_wire::{HealthStatus, MethodDescriptor, MethodKind, ServiceDescriptor};
pub use server::{Drained, Server};
pub use service::{Service, ServiceBuilder};
pub use stateful::{StateHandler, StatefulBuilder};
pub use typed::{MessageStream, service};

/// Parts of the code that [`macro@service`] generates.
#[doc(hidden)]
pub mod __private {
    use serde::Serialize;

    /// Compiles only for a type that serde can write, and so reports one that it cannot where it stands.
    pub fn assert_result<T: Serialize>() {}
}
