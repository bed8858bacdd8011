//! A small ZooKeeper server: in process for tests, or behind the program `zk-mini` for development.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), zk_mini::Error> {
//! use zk_mini::ZkMini;
//!
//! let zk = ZkMini::start().await?; // listens on a free port, and serves when this returns
//! let servers = zk.connect_string(); // for any ZooKeeper client
//! assert!(servers.starts_with("127.0.0.1:"));
//!
//! // The tests can look inside without a client.
//! assert!(zk.get("/zookeeper").is_some());
//! zk.stop().await; // or drop it
//! # Ok(())
//! # }
//! ```
//!
//! Tests need neither a socket ([`Handle::connect`], [`Handle::connector`]) nor patience: with [`Builder::manual_clock`]
//! time moves by [`Handle::advance`] only, and a session expires in no time. All state is in memory and goes with the
//! server, unless it has a [`data_dir`](Builder::data_dir).
//!
//! | to | use |
//! | --- | --- |
//! | start and stop | [`ZkMini`], [`Builder`] |
//! | move time, take a running clock over, let the wall clock jump | [`Handle::advance`], [`Handle::hold_clock`], [`Handle::jump_wall_clock`] |
//! | move the clients of this process along | [`Handle::clock`] |
//! | run by tokio's paused time | [`Builder::auto_advance`] |
//! | connect without a socket | [`Connector`] |
//! | serve a stream of your own, such as one of a simulated network | [`Handle::serve_stream`], example `partition` |
//! | see nodes, sessions, connections, watches | [`Handle::node`], [`Handle::subtree`], [`Handle::sessions`], [`Handle::connections`], [`Handle::watches`]; [`Handle::status`] counts them |
//! | expire or disconnect a session, now and on the server's side | [`Session`], [`SessionSet`] |
//! | let a connection, a session, a listener or the server stall | [`Session::freeze`], [`Handle::freeze_connection`], [`Handle::freeze_listener`], [`Handle::freeze`] |
//! | show figures, of the server or of each connection | [`Handle::figures`], [`figures`] |
//! | wait for a state without sleeping | [`Handle::wait_for`], [`Session::until_expired`], [`Session::until_watches`] |
//! | hear who deleted a node and why, see the tree as it was, list leaks | [`history`], [`Handle::explain`] |
//! | read what happened, and follow it | [`Handle::history`], [`Handle::watch_history`] |
//! | lose a reply, refuse a connection, drop an event | [`Handle::fault`] with [`On`] and [`Then`] |
//! | write a plain `#[test]` with a server of its own | [`testing::run`] |
//! | use all of this without async | [`blocking`] |
//! | test a client on random bad days | `testing::days`, with the cargo feature `proptest` |
//! | behave like ZooKeeper 3.8 or 3.9 | [`Compat`] |
//! | speak TLS, and know clients by their certificates | `Builder::tls`, with the cargo feature `tls` |
//! | write nodes without a session | [`Handle::create`], [`Handle::set`], [`Handle::delete`] |
//! | restart, go down and come back, reset, be as new for the next test | [`Handle::restart`], [`Handle::take_down`], [`Handle::reset`], [`Handle::reset_all`] |
//! | break a simulated ensemble: stop, partition and delay its servers, elect a leader, lose the quorum, change its members | [`Builder::servers`], [`Server`], [`Handle::lose_quorum`], [`Builder::reconfig_enabled`] |
//! | take and restore snapshots | [`Handle::snapshot`], [`Snapshot`] |
//! | read the files of a data directory | [`storage`] |
//! | test against the bare state machine | [`core`] |
//!
//! Without its default feature `server` the crate is [`core`] alone: no sockets, files, clocks or threads, and so for any
//! target, `wasm32-unknown-unknown` among them. Servers run on Linux and macOS; for Windows they compile.
//!
//! # Features
//! | feature | default | adds |
//! | --- | --- | --- |
//! | `server` | yes | all but [`core`] |
//! | `compressed-snapshots` | yes | data directories of Apache ZooKeeper whose snapshots are compressed |
//! | `tls` | no | TLS, also mutual, with rustls: `Builder::tls` |
//! | `tree-files` | no | trees as YAML and JSON |
//! | `proptest` | no | random bad days in [`testing`], with the crate proptest |
//!
//! The program is the crate `zk-mini-server`.
//!
//! # The instrument
//! Questions that tests of registries, locks and elections ask:
//!
//! | question | answer |
//! | --- | --- |
//! | does it forget `sync`, and read what a server that lags still shows? | [`Server::lag`], in an ensemble of [`Builder::servers`] |
//! | does it survive the server that it is connected to, and an election? | [`Server::stop`], [`Server::partition`], [`Server::lead`] |
//! | does a leader step down when its session expires? | `zk.session_of("/leader")`, then [`Session::expire`]: all that follows has happened when it returns |
//! | is it there twice if the reply to its create is lost? | [`Then::apply_and_lose_reply`], on [`On::create`] |
//! | does it take the node of its dead session for its own? | [`Then::hold_ephemerals`], on [`On::expiry`]: the session is gone, its nodes are not yet |
//! | does it notice a server that hangs? | [`Handle::freeze`]: connections stay open, nothing is answered |
//! | does it come back after an outage, or after lost data? | [`Handle::take_down`] and [`Handle::bring_up`]; [`Handle::reset`] |
//! | does it wake everybody up? | [`history::History::reads_per_change`] |
//! | who deleted the node, and why? | [`Handle::explain`] |
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use std::time::Duration;
//! # use zk_client::{Client, CreateMode};
//! use zk_mini::{On, Then, ZkMini};
//!
//! let zk = ZkMini::start().await?;
//! let client = Client::connect(&zk.connect_string()).await?; // the code under test
//! let lost = zk.fault(On::create("/demo").nth(1), Then::apply_and_lose_reply());
//! assert!(client.create("/demo", "", CreateMode::Ephemeral).await.is_err());
//! assert_eq!(lost.fired(), 1);
//! assert!(zk.get("/demo").is_some()); // it is there all the same
//!
//! let session = zk.session_of("/demo").ok_or("no owner")?;
//! session.until_connected(Duration::from_secs(10)).await?; // again, without sleeping
//! session.expire().await; // now, and on the server's side
//! assert!(zk.get("/demo").is_none());
//! assert!(zk.explain("/demo").to_string().contains("expired by the test"));
//! # Ok(())
//! # }
//! ```
//!
//! All of this works with any client in any language, on real time as on a [held clock](Builder::manual_clock). Rules and
//! freezing cost nothing while they are not used. On a server in memory, moving time, ending a session and hitting a request take
//! microseconds; a snapshot or a restore of 1,000 nodes takes a millisecond. The history costs a read next to nothing, and a
//! write up to a quarter of its time; [`Builder::without_history`] turns it off.
//!
//! # Fidelity
//! Clients see a standalone Apache ZooKeeper, or with [`Builder::servers`] a simulated ensemble of several: operations, errors, stats, zxids, watches and their order, access control,
//! quotas, sessions, four-letter words and limits. Where the release lines 3.8 and 3.9 differ, [`Builder::compat`]
//! chooses.
//!
//! Limits are ZooKeeper's, and so is the behaviour at them: the server closes, without a word, a connection beyond
//! [`max_client_connections`](Builder::max_client_connections), one whose request is longer than
//! [`jute_max_buffer`](Builder::jute_max_buffer), and, after ten to twenty seconds, one that never asks for a session.
//! There is no `globalOutstandingLimit`, because no request is ever outstanding: the server answers requests as it reads
//! them, and stops reading from a client that does not read its replies ([`max_backlog`](Builder::max_backlog)).
//!
//! Further limits bound the memory that one connection can make the server hold. They are far above the needs of real
//! systems:
//!
//! | limit | setting | default | beyond it |
//! | --- | --- | --- | --- |
//! | a transaction, with ACLs and all operations of a multi | [`jute_max_buffer_extra_size`](Builder::jute_max_buffer_extra_size) | twice `jute.maxbuffer` | the whole write is refused, code -5 |
//! | a token of SASL | | 4,096 bytes, and one exchange a connection | code -115, then the connection is closed |
//! | identities added by `auth` | [`max_auth_ids`](Builder::max_auth_ids), [`max_auth_id_bytes`](Builder::max_auth_id_bytes) | 100, 16 KiB | code -115, then the connection is closed |
//! | entries of an ACL, including those that `auth` stands for | [`max_acl_entries`](Builder::max_acl_entries) | 32,768, of which `auth` may be 100 | code -114 |
//! | watches | [`max_watches`](Builder::max_watches), [`max_watch_bytes`](Builder::max_watch_bytes) | 2,000,000, 256 MiB of paths | code -125; `setWatches`: the connection is closed |
//! | a reply to a `multiRead` | [`max_backlog`](Builder::max_backlog) | 48 MiB | code -5 |
//! | an answer to a four-letter word | [`max_backlog`](Builder::max_backlog) | 64 MiB | one line that says so |
//! | any other reply | [`max_reply`](Builder::max_reply) | 2 GiB, the most that a length field can hold | code -5 |
//!
//! These limits apply to requests. A data directory of Apache ZooKeeper may have longer lists and transactions: they are
//! accepted. The end of a session cannot be refused: if its ephemeral nodes are too many for one transaction, the
//! log does not list them, and a reader of the log deletes the nodes that the session has.
//!
//! # Fairness
//! The server handles the requests of one connection for two milliseconds ([`longest_turn`](Builder::longest_turn)), then
//! those of others. A request is handled without interruption; its cost depends on the length of the request and of its reply, not on
//! the size of the tree: the number of descendants is counted as they change, long ACLs are indexed, watches of a closed
//! connection are removed in steps, and so are sessions and containers that expire.
//!
//! Some operations still take long: a session ends with all its nodes in one transaction, about a microsecond for each
//! node and event, so 100,000 nodes take a tenth of a second. A list of children, a `multiRead` and `getEphemerals` take a
//! few milliseconds for each ten megabytes of reply. `dump`, `wchp` and `wchc` copy what they list, a tenth of a second for
//! a million watches, and format it elsewhere.
//!
//! # Time after a stall
//! A process that was stopped, or got no CPU, finds input in its sockets that is older than the deadlines that have passed.
//! That input is handled first: one round through all connections, at most sixteen turns each, at most two seconds. Then
//! containers and TTL nodes are checked, then sessions expire that are still silent. So a client whose pings were queued
//! keeps its session, and a container that an expiry empties waits for the next check, as in Apache ZooKeeper. No session
//! expires while its connection is not read because of a slow disk.
//!
//! A container is deleted at the first check after it has lost its last child
//! ([`container_check_interval`](Builder::container_check_interval)). ZooKeeper deletes at most 10,000 a minute
//! (`znode.container.maxPerMinute`), zk-mini all that are due. A container that never had a child stays
//! (`znode.container.maxNeverUsedIntervalMs` is 0, as there).
//!
//! # Logging
//! Events go to `tracing`. Info: addresses, sessions that begin, resume, expire and close, refused clients with the
//! reason. Debug: connections and requests. Trace: frames, without the passwords of handshakes and `auth`. Text from peers
//! is escaped and cut. Below debug, one address (for IPv6: one /64 network) causes at most 60 lines a minute, and so do all
//! expiring sessions together; a further line says how many were left out. A subscriber that panics harms no client, and a
//! slow one is called without the server's lock.
//!
//! # Four-letter words
//! All words of ZooKeeper are answered with the figures of this server. Figures of absent mechanisms (a quorum) are
//! zero, and `hash` has an empty answer. `mntr` shows `*_per_namespace` for the first thousand children of the root with
//! names of up to 256 bytes; lengths are in bytes.
//!
//! # First zxid
//! ZooKeeper disconnects a client that has seen a higher zxid than the server has, without a word, and so does zk-mini.
//! Therefore a server in memory begins at a zxid that no earlier one can have reached: the milliseconds since 1970, shifted
//! by 20 bits. Clients of an earlier server learn that their session is gone, and go on with a new one. The upper half of
//! such a zxid, which some clients take for an epoch, is near 430 million.
//!
//! With [`Builder::seed`] or [`Builder::manual_clock`] the first zxid is 0, so that runs repeat. With a
//! [`data_dir`](Builder::data_dir) the server continues from its files, and begins at 0 in an empty directory, as ZooKeeper
//! does. Clients must be restarted when a server in memory is followed by one with lower zxids, or when the machine's clock
//! was set back between two processes.
//!
//! # Session passwords
//! A client that has the id and the password of a session owns it. In memory the password is an HMAC of the id with a
//! secret of the server, which is predictable only with [`Builder::seed`]. With a data directory it is ZooKeeper's function
//! of the id, so that either server can take over the sessions of the other; then a client that guesses an id has the
//! password, too, unless [`Builder::private_sessions`] is set. As in ZooKeeper, a wrong password costs the owner the
//! connection, not the session.
//!
//! # Deliberate differences
//! Some bugs of the real server are not reproduced, because no client can depend on them:
//!
//! | request | ZooKeeper | zk-mini |
//! | --- | --- | --- |
//! | `deleteContainer`, the server's own operation | 3.9: deletes any node without children, for any client; 3.8: closes the connection | "bad arguments" |
//! | `setWatches` on a node that the client may not read (3.9) | events that it missed | no events, as on 3.8 |
//! | op code -10 on a connection that has a session | after a restart the session has any timeout that was asked for | within the bounds |
//! | `createTTL` with flags of another kind and a negative time to live | the server goes down | "bad arguments" |
//! | create `/zookeeper/quota/zookeeper_limits`, a quota of the root | the server goes down | "bad arguments" |
//! | a write below a quota whose `zookeeper_stats` is garbage | the server goes down | done; the garbage stays |
//! | delete `zookeeper_limits` below `/zookeeper`, but not below `/zookeeper/quota` | the server goes down | deleted |
//! | add a watch to a null path | accepted, and fails at the disconnect | code -5 |
//! | a write below a quota whose `zookeeper_stats` is longer than 1,024 bytes | all of it is parsed and rewritten | as garbage: it stays |
//! | a character beyond U+FFFF in `sync` or in an ACL | replied as six bytes that are not UTF-8 | UTF-8 |
//! | a `multiRead` of more than 48 MiB, which a request of a few kilobytes can ask for | out of memory | code -5 |
//! | a `reconfig` with groups or weights | votes are counted by them | "unimplemented" |
//! | a transaction that is too long to be read back, such as a multi with long ACLs | acknowledged, and the server never starts again | code -5, takes a zxid |
//! | the end of a session with more than 1,000 ephemeral nodes, outside of an ensemble | one transaction, for which all clients wait | transactions of 1,000 nodes, between which others are served; a close is answered after the last |
//! | more identities, watches or ACL entries than the limits above | out of memory | -115, -125, -114 |
//!
//! The 48 MiB are three quarters of [`max_backlog`](Builder::max_backlog).
//!
//! # Inside
//! [`core`] is the server as a state machine: bytes and the time go in, bytes come out. The code around it moves the bytes
//! and reads the clock; it has no rule of the protocol.
#![cfg_attr(docsrs, feature(doc_cfg))] // the documentation shows which feature an item needs
#![forbid(unsafe_code)]
// Without a server, nobody calls the parts of the core that are for one.
#![cfg_attr(not(feature = "server"), allow(dead_code, unused_imports))]

#[cfg(feature = "server")]
#[macro_use]
mod log;
#[cfg(feature = "server")]
pub mod blocking;
#[cfg(feature = "server")]
mod builder;
pub mod core;
#[cfg(feature = "server")]
mod ensemble;
#[cfg(feature = "server")]
mod error;
#[cfg(feature = "server")]
mod handle;
#[cfg(feature = "server")]
mod report;
#[cfg(feature = "server")]
mod server;
#[cfg(feature = "server")]
mod shell;
#[cfg(feature = "server")]
pub mod storage;
#[cfg(feature = "server")]
mod sys;
#[cfg(feature = "server")]
pub mod testing;
#[cfg(feature = "tree-files")]
mod tree_file;

pub use self::core::history;
pub use self::core::{AccessError, Credentials};
pub use self::core::{AuditOperation, AuditRecord, Throttle, ThrottleWeights};
pub use self::core::{CaseKind, Condition, FaultId, FaultInfo, FaultState, Glob, GlobError, Hit, HitKind};
pub use self::core::{Compat, ConnId, NodeInfo, NodeKind, Now, WatchInfo, WatchKind, WriteError, Written};
pub use self::core::{Lag, QuorumAddr, QuorumAddrError, Role, ServerInfo, ServerState, Unable};
pub use self::core::{NoSubtree, Reach, SYSTEM_NODES, Subtree, SubtreeNode};
pub use self::core::{On, Rule, RuleError, Then};
pub use self::core::{SaslRefusal, SaslUsers};
// A server's clock, for clients in the same process.
#[cfg(feature = "server")]
pub use self::{
    builder::Builder,
    ensemble::Server,
    error::Error,
    handle::{ClientAddr, NotListening, Session, SessionInfo, SessionSet, TimedOut},
    handle::{
        ClockRuns, ConnectionInfo, Create, Delete, Handle, Jump, Removed, RestoreError, ServeError, Set,
        Snapshot,
    },
    handle::{Fault, FiresNoMore, WhyNoMore},
    handle::{HistoryNews, HistoryStream, Status},
    report::figures,
    server::ZkMini,
    shell::connector::Connector,
    shell::http::{HttpConnection, HttpStream},
    storage::{SnapshotError, StorageError, SyncMode},
};
#[cfg(feature = "server")]
pub use common::Clock;
// Certificates and keys.
#[cfg(feature = "tls")]
pub use common::tls::{Pem, ServerTls as Tls, ServerTlsConfig as TlsConfig, TlsError, TlsVersion};
#[cfg(feature = "tree-files")]
pub use tree_file::{Loaded, TreeFile, TreeFileError, TreeNode};

/// Version of this crate.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
