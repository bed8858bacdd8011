//! A service registry over ZooKeeper's protocol: services register themselves, others find them and hear when
//! they come, change and go.
//!
//! ```
#![cfg_attr(not(feature = "embedded"), doc = "# #[cfg(any())]")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), registry::Error> {
//! use registry::{Instance, Registry};
//!
//! // A server in this process; `Registry::connect("zk1:2181,zk2:2181/services")` is all that differs elsewhere.
//! let registry = Registry::embedded().await?;
//! let mut demo = registry.subscribe("demo").await?;
//!
//! // Registered for as long as the guard lives.
//! let registration = registry.register("demo", Instance::new("127.0.0.1", 8080).with("pid", 4711)).await?;
//!
//! // Found once, or heard of.
//! let found = registry.discover("demo").await?;
//! assert_eq!(found.instances.values().next().expect("one").addr(), "127.0.0.1:8080");
//! assert_eq!(demo.changed().await.as_deref(), Some(&found));
//!
//! registration.withdraw().await?;
//! assert!(demo.changed().await.expect("still open").is_empty());
//! registry.close().await?;
//! # Ok(())
//! # }
#![cfg_attr(not(feature = "embedded"), doc = "# #[cfg(not(any()))] fn main() {}")]
//! ```
//!
//! # What lies in ZooKeeper
//! A service is a persistent node, `/{root}/{service}` below the chroot, made when it is missed. Its instances are
//! ephemeral children, their data the JSON object of [`Instance`]. Our children are named
//! `<session id><random number>-<counter>`, in hexadecimal and decimal, so that an operator sees whose they are;
//! children of any other name count as well. A child that is no instance is skipped and reported in
//! [`Members::skipped`].
//!
//! # What changes cost
//! A [`Subscription`] lists the service with a watch and reads the data of new names only. An instance that comes
//! costs each subscriber a list and a read, one that goes a list; several changes at once share the list. With
//! [`SubscribeOptions::updates`] every read sets a watch, and new data costs one read.
//!
//! # What holds when things break
//! - The connection is lost: instances stay registered, and subscribers keep the last members, marked
//!   [`stale`](Members::stale).
//! - The session expires: every [`Registration`] creates its node again with the newest data, in a new session.
//! - A reply is lost: the node is looked for before it is created again, so there are never two.
//! - The servers lose their data, or go back to older data: the session is over, within seconds, as if it had expired.
//! - An instance cannot be read: the others are there, and it is read again until it can be.
//! - The program ends: its instances go at once if it waits for that, see [`Registry::run_then_close`]; otherwise with
//!   the session timeout.
#![forbid(unsafe_code)]

mod builder;
mod credentials;
mod discovery;
#[cfg(feature = "embedded")]
mod embedded;
mod error;
mod instance;
mod members;
mod node;
mod registration;
mod registry;
mod retry;
mod service;
mod state;
mod subscription;

pub use builder::Builder;
pub use credentials::{Credentials, close_session};
pub use error::Error;
pub use instance::{Instance, InstanceError};
pub use members::{Change, InstanceId, Members, SkipReason, Skipped};
pub use registration::{Registration, RegistrationState};
pub use registry::Registry;
pub use service::NameError;
pub use state::{Connection, ConnectionState};
pub use subscription::{SubscribeOptions, Subscription};

// How connections are opened; re-exported so that users need not name the crate it comes from.
pub use zk_client::{Connect, Connecting, Resolving, Stream, connect_fn};
