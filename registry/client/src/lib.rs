//! A ZooKeeper client: one logical connection over successive sessions.
//!
//! The rules of a session - handshake, pings, which server next, which call gets which answer, which watches
//! live - are a pure state machine in `session`: it sees no socket and no clock. The driver, one tokio task,
//! moves bytes between it and a stream of any kind.
//!
//! A server that lost its data, or whose data were put back to an older state, ends the session within seconds, whether it
//! still knows it or not: the client is told that it has expired, and goes on with a new one. The protocol has one case in
//! which nobody can notice it: when others have written so much since that the number of the last transaction is beyond
//! what this client has seen. Then the session goes on if it is still known, watches of nodes that are gone are told,
//! and what changed back in the others is not.
//!
//! ```
//! use zk_client::{Acl, Client, CreateMode, EventType, Expected};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let zk = zk_mini::ZkMini::start().await?;
//! # let servers = zk.connect_string();
//! let client = Client::connect(&servers).await?; // "zk1:2181,zk2:2181,zk3:2181/chroot"
//! client.ensure_path("/demo").await?;
//! let node = client.create("/demo/n-", "up", CreateMode::EphemeralSequential).await?;
//! assert_eq!(node.path, "/demo/n-0000000000");
//!
//! let (data, stat, mut watch) = client.get_and_watch(&node.path).await?;
//! assert_eq!(data, "up");
//! client.set(&node.path, "busy", Expected::Exactly(stat.version)).await?;
//! assert_eq!(watch.changed().await?.event, EventType::NODE_DATA_CHANGED);
//! client.close().await?;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

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
mod link;
mod persistent_watch;
mod servers;
mod session;
mod state;
mod states;
mod transaction;
mod watch;

pub use builder::Builder;
pub use client::{Client, Created};
pub use close::{SessionEnd, close_session, close_session_via};
pub use connect::{Connect, Connecting, Resolving, Stream, TcpConnect, connect_fn};
pub use create_mode::CreateMode;
pub use error::{Attempt, Error};
pub use feed::WatchUpdate;
pub use persistent_watch::PersistentWatch;
pub use servers::{DEFAULT_PORT, ServersError, check_servers};
pub use state::{CloseReason, Credentials, SessionState, WatchLost};
pub use states::SessionStates;
pub use transaction::{OpResult, Transaction};
pub use watch::Watch;

// What the operations take and give; re-exported so that users need not name the crate it comes from.
pub use zk_wire::{
    Acl, ErrorCode, EventType, Expected, KeeperState, Perms, SessionId, Stat, Version, WatchedEvent, Zxid,
};
