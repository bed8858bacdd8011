//! A service registry over the protocol of Apache ZooKeeper: services register themselves, clients find them and hear at
//! once when instances come, change and go.
//!
//! It works with Apache ZooKeeper 3.8 and 3.9 and with zk-mini, which the feature `embedded` runs inside the process: a test
//! of a service needs no other software.
//!
//! # A walk through
//! ```
#![cfg_attr(not(feature = "embedded"), doc = "# #[cfg(any())]")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), registry::Error> {
//! use registry::{Change, Instance, Registry};
//!
//! // A server in this process. In production: `Registry::connect("zk1:2181,zk2:2181/production")`.
//! let registry = Registry::embedded().await?;
//!
//! // A service registers an instance: an address, and further fields of its choice.
//! let instance = Instance::new("127.0.0.1", 8080).with("zone", "a");
//! let registration = registry.register("echo", instance).await?;
//!
//! // A client looks once, ...
//! let members = registry.discover("echo").await?;
//! assert_eq!(members.instances.values().next().map(|one| one.addr()).as_deref(), Some("127.0.0.1:8080"));
//!
//! // ... or follows the service. The first members are known at once.
//! let mut echo = registry.subscribe("echo").await?;
//! let before = echo.current();
//! assert_eq!(before.len(), 1);
//!
//! // New data, for instance the load: subscribers get the next members, and `diff` gives the changes.
//! registration.update(Instance::new("127.0.0.1", 8080).with("zone", "b")).await?;
//! let after = echo.changed().await.expect("the registry is open");
//! let changes = before.diff(&after);
//! assert!(matches!(&changes[..], [Change::Updated(_, instance)] if instance.get("zone") == Some(&"b".into())));
//!
//! // The instance leaves; closing the registry would take it out, too, and so would the death of the process.
//! registration.withdraw().await?;
//! assert!(echo.changed().await.expect("the registry is open").is_empty());
//! registry.close().await?;
//! # Ok(())
//! # }
#![cfg_attr(not(feature = "embedded"), doc = "# #[cfg(not(any()))] fn main() {}")]
//! ```
//! The folder `examples` has whole programs: a hermetic test, a watcher, a rolling replacement (also with gRPC), a standby.
//! Code without async uses the registry with [`blocking`].
//!
//! # What to call
//! | task | call |
//! | --- | --- |
//! | register; with an id, formats, a warm-up | [`Registry::register`]; [`Registry::register_with`], [`RegisterOptions`] |
//! | say that it starts, is down, takes less work | [`Registration::set_status`], [`Registration::set_weight`] |
//! | publish other data | [`Registration::update`] |
//! | hear of a loss, or of an end | [`Registration::changed`] |
//! | leave without a failed call | [`Registration::drain`] |
//! | look once; follow | [`Registry::discover`]; [`Registry::subscribe`] |
//! | follow the names of services | [`Registry::services`] |
//! | want some only: by status, zone, tags | [`SubscribeOptions::filter`], [`Filter`] |
//! | choose one among the members | [`select`] |
//! | live beside Curator, Spring Cloud, Finagle, Dubbo | [`codec`] |
//! | start while the registry is away | [`Builder::connect_in_background`], [`Builder::cache`] |
//! | protect what is registered | [`Builder::auth`], [`Builder::sasl`], [`Builder::acl`] |
//! | feed a stream, or a balancer of tower | the [features](#features) `stream` and `tower` |
//!
//! # When things break
//! - The connection is lost: instances stay registered, and subscribers keep the last members, marked
//!   [`stale`](Members::stale).
//! - The session expires: every [`Registration`] creates its node again in a new session, with the newest data.
//! - A reply is lost: the node is searched before it is created again, so an instance never has two.
//! - The servers lose their data, or go back to older data: within seconds the session ends, as if it had expired.
//! - An instance cannot be read, or its data is garbage or huge: the others stay available, and it is read again until it is
//!   an instance.
//! - All instances go at once: subscribers see it at once, or keep the last ones for a while with
//!   [`SubscribeOptions::empty_after`].
//! - A service, or the parent of all, does not exist: its creation is waited for with a watch, and no question is asked twice.
//!   It may be deleted and made again.
//! - A subscriber is slow: it sees the latest members next. Nothing is queued for it.
//! - The registry is away when the program starts: [`Builder::connect_in_background`] waits for nothing, and a
//!   [cache](Builder::cache) has the members of the last time.
//! - The program ends: its instances go at once if it waits for that, see [`Registry::run_then_close`]; otherwise after the
//!   session timeout.
//!
//! # Nodes in ZooKeeper
//! A service is a persistent node, `/{root}/{service}` below the chroot, created when it is missing. Its instances are
//! ephemeral children whose data is the JSON object of [`Instance`]. The name of a child is
//! `<session id><random number>-<counter>`, in hexadecimal and decimal, so that an operator sees its session, or the
//! [id](RegisterOptions::id) of the instance. Children of other names count as well: any ZooKeeper client can register an
//! instance. A child that is no instance is skipped and reported in [`Members::skipped`]. Apache Curator, Spring Cloud, Finagle
//! and Dubbo have other nodes: [`codec`] reads and writes theirs.
//!
//! # Cost of a change
//! A [`Subscription`] lists the service with a watch and reads the data of new names only. An instance that comes costs a list
//! and a read, one that goes a list; several changes at once share the list. Every read sets a watch, unless
//! [`SubscribeOptions::updates`] is off, and new data costs one read. So do reads of nodes whose names can come again, because another instance may stand
//! behind the name: those with an [id](RegisterOptions::id), and those of other clients.
//!
//! All subscriptions of a [`Registry`] and its clones to one service share these requests, if they read it alike: a process asks
//! once for a change, however many parts of it listen. Each format that is read costs the same again
//! ([`SubscribeOptions::codecs`]). Where thousands of processes listen, [`SubscribeOptions::spread`] keeps their questions
//! apart.
//!
//! # Features
//! | feature | default | adds |
//! | --- | --- | --- |
//! | `embedded` | no | `Registry::embedded` and `Builder::embedded`: a zk-mini in this process |
//! | `stream` | no | Streams of futures-core: `into_stream` of [`Subscription`], [`Services`], [`ConnectionStates`]; `Registration::states` |
//! | `tls` | no | `Builder::tls`, and files named in the list of servers: TLS, also mutual, with rustls |
//! | `tower` | no | `Subscription::discover`: services for the balancers of tower, and so for gRPC with tonic |
#![cfg_attr(docsrs, feature(doc_cfg))] // the documentation shows which feature an item needs
#![forbid(unsafe_code)]

pub mod blocking;
mod builder;
mod cache;
mod clock;
mod close;
pub mod codec;
mod credentials;
#[cfg(feature = "tower")]
mod discover;
mod discovery;
#[cfg(feature = "embedded")]
mod embedded;
mod error;
mod fields;
mod filter;
mod hash;
mod instance;
mod list_state;
mod members;
mod merge;
mod node;
mod registration;
mod registry;
mod retry;
mod seed;
pub mod select;
mod service;
mod services;
mod state;
mod status;
#[cfg(feature = "stream")]
mod stream;
mod subscription;
mod warm_up;

pub use builder::Builder;
pub use clock::unix_ms;
pub use close::{close_session, close_session_via};
pub use credentials::Credentials;
#[cfg(feature = "tower")]
pub use discover::Discover;
pub use error::Error;
pub use filter::Filter;
pub use instance::{Instance, InstanceError};
pub use members::{Change, InstanceId, Members, SkipReason, Skipped};
pub use registration::{
    Drained, LossReason, OnDelete, RegisterOptions, Registration, RegistrationState, WithdrawReason,
};
pub use registry::Registry;
pub use service::NameError;
pub use services::{ServiceNames, Services};
pub use state::{ConnectionState, ConnectionStates};
pub use status::Status;
#[cfg(feature = "stream")]
pub use stream::Updates;
pub use subscription::{SubscribeOptions, Subscription};

// Value of an instance's further field; re-exported so that users need not name the crate that it comes from.
pub use serde_json::Value;
// Rights to nodes; likewise.
pub use zk_client::{Acl, Perms};
// Ways to open connections; likewise.
pub use zk_client::{Connect, Connecting, Resolving, Stream, connect_fn};
// Certificates and keys; likewise.
#[cfg(feature = "tls")]
pub use zk_client::{Pem, Tls, TlsConfig, TlsConnect, TlsError};
// The clock that a test may hold and move; likewise.
pub use zk_client::Clock;
