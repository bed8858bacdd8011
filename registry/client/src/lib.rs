//! An async ZooKeeper client for tokio: one logical connection over successive sessions.
//!
//! A [`Client`] connects to one server of a list, and to another one when that is lost. Its handles are cheap clones. A call
//! waits for a connection, is sent once, and returns the server's answer or an error that says [whether it may have been
//! applied](Error::may_have_been_applied) and [whether the same call may succeed later](Error::is_retryable).
//!
//! ```
//! use zk_client::{Client, CreateMode, ErrorCode, EventType, Expected, OpResult, WatchUpdate};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let zk = zk_mini::ZkMini::start().await?;
//! # let servers = zk.connect_string();
//! let client = Client::connect(&servers).await?; // "zk1:2181,zk2:2181,zk3:2181/chroot"
//!
//! // Nodes: create, read, and write only over the version that was read.
//! client.ensure_path("/demo").await?;
//! let node = client.create("/demo/n-", "up", CreateMode::EphemeralSequential).await?;
//! assert_eq!(node.path, "/demo/n-0000000000");
//! let (data, stat) = client.get(&node.path).await?;
//! assert_eq!(data, "up");
//! client.set(&node.path, "busy", Expected::Exactly(stat.version)).await?;
//! let refused = client.set(&node.path, "late", Expected::Exactly(stat.version)).await;
//! assert_eq!(refused.unwrap_err().code(), Some(ErrorCode::BAD_VERSION));
//!
//! // A one-shot watch comes with a read and tells the next change.
//! let (_, _, mut watch) = client.get_and_watch(&node.path).await?;
//! client.set(&node.path, "idle", Expected::Any).await?;
//! assert_eq!(watch.changed().await?.event, EventType::NODE_DATA_CHANGED);
//!
//! // A persistent watch tells every change, here of all nodes below a path.
//! let mut tree = client.watch_recursive("/demo").await?;
//!
//! // Transactions: all or nothing, with a result for each operation.
//! let results = client
//!     .transaction()
//!     .create("/demo/job", "1", CreateMode::Persistent)
//!     .delete(&node.path, Expected::Any)
//!     .commit()
//!     .await?;
//! assert_eq!(results, [OpResult::Created("/demo/job".to_owned()), OpResult::Deleted]);
//! let Some(WatchUpdate::Changed(event)) = tree.next().await else { panic!("the connection is fine") };
//! assert_eq!(&*event.path, "/demo/job");
//!
//! // Ends the session now: its ephemeral nodes go, and nothing is left to a timeout.
//! client.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What it can do
//!
//! | | |
//! | --- | --- |
//! | Nodes | [create](Client::create) in every [mode](CreateMode), [get](Client::get), many at once ([one answer each](Client::get_all), [one for all](Client::reads)), [set](Client::set), [delete](Client::delete), also [with all below it](Client::delete_recursive), [exists](Client::exists), [children](Client::children), [ACLs](Acl), [paths](Client::ensure_path_with) of containers or persistent nodes, [sync](Client::sync) |
//! | Transactions | [`Client::transaction`]: typed results, errors that name the operation |
//! | Watches | [one-shot](Watch), [persistent and recursive](PersistentWatch) |
//! | A user of SASL | [`Builder::sasl`]: DIGEST-MD5, on each connection, before anything else |
//! | Identities | [`Builder::auth`] and [`Client::add_auth`]: given on each connection, before anything else |
//! | Sessions | reconnects, a new session after an expired one, [states](SessionStates), [credentials](Credentials) to close the session of a dead process |
//! | Connections | several servers, each address of a name, a chroot, [servers in read-only mode](Builder::read_only), TLS, any [stream](Connect): TCP, in memory |
//! | Errors | [three questions](Error): may it have been applied, may it be tried again, is the session over |
//!
//! It is tested with Apache ZooKeeper 3.8 and 3.9. Persistent watches and several reads in one request need 3.6 or later, all else
//! 3.5. The
//! feature `tls` (off by default) adds TLS, also mutual, with rustls: `Builder::tls`, or
//! [options](ConnectString::parse) in the list of servers. Code without async uses it with [`blocking`].
//!
//! # Bad days
//!
//! - The client goes through the addresses of its servers in random order. An attempt that is not through within a quarter of
//!   a second is overtaken by the next one. Rounds that fail are followed by pauses of up to 0.8 seconds, cut by chance, so a
//!   client is back within a second after its servers, and many clients are spread out.
//! - A server that is silent for two thirds of the session timeout is left, and so is one that answers pings but not
//!   [the request whose turn it is](Builder::answer_timeout).
//! - A call waits for a connection up to the [call timeout](Builder::call_timeout), and is sent at most once. What is lost with
//!   its connection is [never repeated](Error::may_have_been_applied) by the client: the program decides.
//! - Up to 65,536 calls may be waiting, and further ones fail with [`Error::Overloaded`].
//! - Watches are set again in requests of at most 128 KiB. A watch whose handle is dropped is withdrawn at the server.
//!
//! # Sessions
//!
//! Ephemeral nodes belong to the session. It survives the loss of a connection, if the client reaches a server again within
//! the session timeout. Only a server can end it: [`SessionState::Disconnected`] means that its end is unknown. After an expired
//! session the client opens a new one by itself; [`Client::states`] tells, and ephemeral nodes are created again by the
//! program.
//!
//! A one-shot [`Watch`] survives the connection too: the client sets it again, and the server tells what was missed. It ends
//! with its session, with [`WatchLost::SessionExpired`]. A [`PersistentWatch`] survives both, and says where changes may be
//! missing. Identities survive both as well.
//!
//! A server that has lost its data, or runs on older data, ends the session within seconds: the client notices, and goes on
//! with a new one. One case goes unnoticed, because the protocol does not show it: other clients have written so much since that the
//! number of the last transaction is beyond what this client has seen. Then a session that is still known goes on.
//!
//! # Closing
//!
//! - [`Client::close`] ends the session, waits for the server's answer, and closes every handle.
//!   [`close_within`](Client::close_within) gives up after a limit.
//! - Dropping the last handle does the same in the background. A program that ends at once should call `close`, or its
//!   ephemeral nodes stay until the session timeout.
//! - A process that died cannot close its session. [`close_session`] does it for another process that has its
//!   [`Credentials`], and [`Builder::close_session`] if the servers require a login.
//!
//! # Tests
//!
//! [zk-mini](https://docs.rs/zk-mini) is a ZooKeeper server for tests, in the same process; a client reaches it over TCP or
//! [in memory](connect_fn).
#![forbid(unsafe_code)]

mod attempts;
pub mod blocking;
mod builder;
mod call;
mod chroot;
mod client;
mod close;
mod command;
mod connect;
mod create_mode;
mod driver;
mod error;
mod feed;
mod intake;
mod link;
mod paths;
mod persistent_watch;
mod reads;
mod secured;
mod servers;
mod session;
mod session_state;
mod state_follower;
#[cfg(feature = "tls")]
mod tls;
mod tls_files;
mod transaction;
mod watch;

pub use builder::Builder;
pub use client::{Client, Created, WeakClient};
pub use close::{SessionEnd, close_session, close_session_via};
pub use connect::{Connect, Connecting, Resolving, Stream, TcpConnect, connect_fn};
pub use create_mode::CreateMode;
pub use error::{Attempt, Error};
pub use feed::WatchUpdate;
pub use persistent_watch::PersistentWatch;
pub use reads::{Read, Reads};
pub use servers::{ConnectString, DEFAULT_PORT, ServersError, check_servers};
pub use session::LoginError;
pub use session_state::{CloseReason, Credentials, SessionState, WatchLost};
pub use state_follower::SessionStates;
#[cfg(feature = "tls")]
pub use tls::{Pem, Tls, TlsConfig, TlsConnect, TlsError};
pub use tls_files::TlsFiles;
pub use transaction::{OpResult, Transaction};
pub use watch::Watch;

// Types of arguments and results, so that users need not name the crates that they come from.
pub use common::Clock;
pub use zk_wire::{
    Acl, ErrorCode, EventType, Expected, KeeperState, Perms, SessionId, Stat, Version, WatchedEvent, Zxid,
};

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadMe;
