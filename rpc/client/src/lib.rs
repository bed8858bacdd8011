//! An RPC client: finds the instances of a service in the registry, balances calls over them, and retries calls that may
//! be retried. The server is the crate `rpc-server`.
//!
//! ```
//! use std::time::Duration;
//!
//! use registry::{Instance, Registry};
//! use rpc_client::{Client, Code};
//! use rpc_server::{Context, Server, Service, Status};
//! use tokio::net::TcpListener;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A service, and an instance of it that is registered. Here the registry is in this process; elsewhere it is a
//! // ZooKeeper: `Registry::connect("zk1:2181,zk2:2181")`.
//! let divide = |(a, b): (u32, u32), _: Context| async move {
//!     a.checked_div(b).ok_or_else(|| Status::invalid_argument("division by zero"))
//! };
//! let service = Service::builder("math").method("divide", divide).build();
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! let addr = listener.local_addr()?;
//! tokio::spawn(Server::new(service).serve(listener, std::future::pending()));
//! let registry = Registry::embedded().await?;
//! let registration = registry.register("math", Instance::new(addr.ip().to_string(), addr.port())).await?;
//!
//! // A client of the service. It follows the registry: instances come and go, and calls go to those that are there.
//! let client = Client::builder(registry.clone(), "math").connect().await?;
//!
//! // A call: any types of serde, a deadline (10 s by default), and the promise that running it twice does no harm.
//! let quotient: u32 =
//!     client.call("divide", &(42, 6)).deadline(Duration::from_secs(1)).idempotent().await?;
//! assert_eq!(quotient, 7);
//!
//! // An error answers the questions that decide about the next step.
//! let error = client.call::<_, u32>("divide", &(1, 0)).await.expect_err("no result");
//! assert_eq!(error.to_string(), "math.divide: INVALID_ARGUMENT: division by zero");
//! assert_eq!(error.code(), Code::INVALID_ARGUMENT);
//! assert!(!error.is_retryable()); // the same call would fail again
//! assert!(error.may_have_been_applied()); // the handler ran
//!
//! assert_eq!((client.stats().ok, client.stats().failed), (1, 1));
//! registration.withdraw().await?;
//! # registry.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! [`Client::direct`] takes addresses instead of a registry. A call that is dropped before its end is cancelled, and so is
//! its handler on the server.
//!
//! # Streams
//! | call | awaiting it gives |
//! | --- | --- |
//! | [`server_stream`](Client::server_stream) | [`Messages`] of the server |
//! | [`client_stream`](Client::client_stream) | an [`Upload`]: messages of the client, then one result |
//! | [`bidi_stream`](Client::bidi_stream) | a [`MessageSender`] and [`Messages`] |
//!
//! A side sends as many bytes ahead as the other allows (256 KiB a stream, 4 MiB a connection), and more as its messages are
//! taken. So a slow reader costs a bounded memory, and holds up its own stream and no call. A stream has no deadline unless it
//! is given one; it is opened again, elsewhere, only if nothing of it ran and no message was sent, because messages are not kept;
//! and dropping any of its halves before the end cancels it. A server of version 1 of the protocol has no streams: the error is
//! `UNIMPLEMENTED`, and nothing is sent.
//!
//! # Tests without sockets
//! [`Client::in_memory`] connects to a server in the same process; with [`ClientBuilder::via`] a client runs over any transport,
//! for example the simulated network of turmoil, as the example `simulated_network` does.
//!
//! # Failures
//! | event | the call |
//! | --- | --- |
//! | no instance is known or reachable | waits ([`wait_for_instance`](ClientBuilder::wait_for_instance); up to its deadline with [`Call::wait_for_ready`], not at all with [`Call::fail_fast`]), then [`Error::NoInstances`] or [`Error::Unreachable`] |
//! | the server refuses it without running it, or it was not sent | is tried elsewhere |
//! | the connection breaks after it was sent | is tried elsewhere if [idempotent](Call::idempotent), else [`Error::ConnectionLost`] |
//! | the handler answers `UNAVAILABLE` | is tried again if idempotent, else [`Error::Status`] |
//! | the server says when to come again, with `RESOURCE_EXHAUSTED` or `UNAVAILABLE` ([`Status::with_retry_after`]) | is tried again not before that time, if it did not run or is idempotent; [`Error::Status`] at once if the deadline or a minute comes first, or if the server wants no retry |
//! | the handler answers with another code | [`Error::Status`] |
//! | its deadline passes | [`Error::Deadline`]; the server ends the handler |
//! | the server hangs | its connection is given up after twice [`keepalive`](ClientBuilder::keepalive), and counts as broken |
//! | the server is restarted or replaced | not affected: the server finishes its calls, and new ones go elsewhere |
//! | another process listens at the address of an instance | never goes there: the process shows its identity in the hello |
//! | the registry is away | is not affected: the last known instances stay in use |
//! | all instances go from the registry at once | is not affected as long as they answer: they stay in use [for a while](ClientBuilder::hold_lost_instances) |
//!
//! Retries after attempts that may have run, or that an overloaded server refused, are bounded for each call
//! ([`max_retries`](ClientBuilder::max_retries)) and for the client ([`retry_budget`](ClientBuilder::retry_budget)).
//!
//! # Balancing
//! There is one connection to each worker process of each instance, at the port of that worker alone if it announces one and it
//! can be reached, otherwise at the port that it shares with others. [`ClientBuilder::aperture`] limits a client to a subset of a
//! large service. A [`Balancer`] chooses the connection for a call:
//!
//! | [`ClientBuilder::balancer`] | a call goes to | for |
//! | --- | --- | --- |
//! | [`PowerOfTwo`](Balancer::PowerOfTwo), the default | the less loaded of two, taken at random by weight | most services |
//! | [`RoundRobin`](Balancer::RoundRobin) | the next in turn, by weight | calls that are alike; a few calls |
//! | [`WeightedRandom`](Balancer::WeightedRandom) | any, at random by weight | an exact share of the traffic |
//! | [`ConsistentHash`](Balancer::ConsistentHash) | the instance of its [key](Call::key), unless that has much more than its share | caches |
//!
//! With each of them:
//!
//! | | |
//! | --- | --- |
//! | weight, status | as the [registry](registry::Instance::with_weight) says; an instance that is not up, or has the weight 0, takes no calls |
//! | warm-up | the share of a newcomer grows, as the [registry](registry::Instance::with_warm_up) or the [client](ClientBuilder::warm_up) says |
//! | zone | calls stay in the [client's zone](ClientBuilder::zone) while that is well, and spill in proportion |
//! | instances that fail or are slow | look loaded after a failure, and are [ejected](OutlierEjection) if they do worse than the others, half of all at most; one call that succeeds takes them back |
//! | connections that left a call unanswered | are avoided until they answer |
//! | slow answers | are [hedged](Call::hedge) by choice |
//!
//! [`Client::instances`] shows the weight, state, load and counts of each.
//!
//! # Sight
//! [`Client::metrics`] has counts, latencies and calls in flight, by method and by instance. Each call is in a span of `tracing`,
//! if a subscriber wants it; [`span_context`](ClientBuilder::span_context) sends its trace context to the server.
//!
//! # Features
//! | feature | default | effect |
//! | --- | --- | --- |
//! | `tls` | no | [`ClientBuilder::tls`]: TLS, also mutual, with rustls |
//! | `tower` | no | [`ClientBuilder::layer`]: layers of tower around calls |
//!
//! # Inside
//! The modules `session` (one connection), `pool` (the connections there should be, and the one that takes a call; in it
//! `balancer` and `outlier`), `retry` and `targets` decide without I/O. The shell around them: `pool_task`
//! makes the links, `link_task` serves one, `connector` is its transport, `placement` waits for one that takes a call,
//! `attempts` makes one [`Call`] over them, `stream` has the streams, and `explain` the errors of both.
#![forbid(unsafe_code)]

mod attempts;
mod builder;
mod call;
mod client;
mod connector;
mod error;
mod explain;
mod kept;
mod latencies;
#[cfg(feature = "tower")]
pub mod layer;
mod link;
mod link_task;
mod measure;
mod options;
mod placement;
mod pool;
mod pool_task;
mod retry;
mod room_queue;
mod running;
#[doc(hidden)]
pub mod session;
mod shared;
mod span;
mod stats;
mod stream;
mod targets;
#[cfg(feature = "tls")]
mod tls;
mod typed;

pub use builder::ClientBuilder;
pub use call::{Call, CallWithReply, Reply};
pub use client::Client;
pub use connector::{Connect, connect_fn};
pub use error::Error;
pub use pool::{Balancer, EjectionReason, InstanceInfo, InstanceState, OutlierEjection};
// Types of connections; re-exported so that users need not name the crate that they come from.
#[cfg(feature = "tls")]
pub use common::tls::{ClientTls as Tls, ClientTlsConfig as TlsConfig, Pem, TlsError};
pub use registry::{Connecting, Stream};
pub use rpc_metrics::ClientMetrics;
pub use rpc_wire::{Code, Format, Metadata, PayloadError, RetryAfter, Status};
pub use stats::{InstanceStats, Stats};
pub use stream::{MessageSender, Messages, StreamCall, Upload};
pub use targets::direct_addr;
pub use typed::service;
