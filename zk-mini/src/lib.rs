//! A small ZooKeeper server: for tests, for development, for one machine.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), zk_mini::Error> {
//! use zk_mini::ZkMini;
//!
//! let zk = ZkMini::start().await?; // on a free port; it serves when this returns
//! let servers = zk.connect_string(); // what any ZooKeeper client connects to
//! assert!(servers.starts_with("127.0.0.1:"));
//!
//! // Looking at it takes no client.
//! assert!(zk.direct().get("/zookeeper").is_some());
//! zk.stop().await; // or drop it
//! # Ok(())
//! # }
//! ```
//!
//! Tests get by without a socket ([`ZkMini::connect`], [`ZkMini::connector`]) and without waiting: with
//! [`Builder::manual_clock`] time moves when [`ZkMini::advance`] says so, and sessions expire in no time.
//! Everything lives in memory and goes with the server, unless it has a [`data_dir`](Builder::data_dir).
//!
//! # What it is like
//! A standalone Apache ZooKeeper, as its clients see it: operations, errors, stats, zxids, watches and their order,
//! access control, quotas, sessions, four-letter words and limits. Where the two release lines in use differ,
//! [`Builder::compat`] chooses; see [`Compat`](core::Compat).
//!
//! Limits are ZooKeeper's, and so is what happens at them: a connection beyond
//! [`max_client_connections`](Builder::max_client_connections) is closed without a word, and so are one whose request
//! is longer than [`jute_max_buffer`](Builder::jute_max_buffer) and, after ten to twenty seconds, one that never asks
//! for a session. There is no `globalOutstandingLimit`, because nothing is ever outstanding: requests are answered as
//! they are read, and no more are read from a client that does not read its replies
//! ([`max_backlog`](Builder::max_backlog)).
//!
//! The memory that one connection can make the server hold has limits of its own, far above what systems do that are in
//! use, each with a setting and an answer:
//!
//! | limit | setting | default | beyond it |
//! | --- | --- | --- | --- |
//! | a transaction, ACLs and all operations of a multi included | [`jute_max_buffer_extra_size`](Builder::jute_max_buffer_extra_size) | twice `jute.maxbuffer` | the write is refused as a whole, code -5 |
//! | identities added by `auth` | [`max_auth_ids`](Builder::max_auth_ids), [`max_auth_id_bytes`](Builder::max_auth_id_bytes) | 100, 16 KiB | -115, and a close |
//! | entries of an ACL, with what `auth` stands for | [`max_acl_entries`](Builder::max_acl_entries) | 32,768, of which `auth` may be 100 | -114 |
//! | watches | [`max_watches`](Builder::max_watches), [`max_watch_bytes`](Builder::max_watch_bytes) | 2,000,000, 256 MiB of paths | -125; `setWatches`: a close |
//! | a reply to a `multiRead` | [`max_backlog`](Builder::max_backlog) | 48 MiB | -5 |
//! | an answer to a four-letter word | [`max_backlog`](Builder::max_backlog) | 64 MiB | one line that says so |
//! | any other reply | [`max_reply`](Builder::max_reply) | 2 GiB, which is what a length can say | -5 |
//!
//! They hold for what clients send. A data directory with longer lists or transactions, which Apache ZooKeeper has
//! written, is read as it is. The end of a session cannot be refused: if its ephemeral nodes are too many for one
//! transaction, the log does not list them, and whoever reads it deletes those that the session has.
//!
//! # Nobody keeps others waiting
//! The requests of one connection are handled for two milliseconds ([`longest_turn`](Builder::longest_turn)), then others
//! have their turn. A request is done in one go, so what one costs goes by its own length and that of its reply, not by what
//! the server holds: descendants are counted as they come and go, long access control lists are looked up, the watches of a
//! connection that goes are taken out bit by bit, and sessions and containers that end by themselves do so in steps of
//! about a millisecond. What remains: a session ends with all its nodes in one transaction, about a microsecond for each
//! node and each event that it fires, so that 100,000 nodes take about a tenth of a second; a list of children, a
//! `multiRead` and `getEphemerals` take a few milliseconds for each ten megabytes that they answer; and `dump`, `wchp` and
//! `wchc` copy what they list before it is sorted elsewhere, a tenth of a second for a million watches.
//!
//! # What comes first after a stall
//! A process that was stopped, or had no time, finds input in its sockets that came before the deadlines which have passed.
//! That input is handled first: once through all connections, at most sixteen turns of each, at most two seconds. Then
//! containers and nodes with a time to live are checked, judged by what was there before anybody expires; then the sessions
//! expire of which nothing was heard. So a client whose pings were queued goes on, and a container that an expiry empties
//! waits for the next check, as in Apache ZooKeeper. Nobody expires who is not read because of a slow disk. Containers go at
//! the check after they have lost their last child ([`container_check_interval`](Builder::container_check_interval)); ZooKeeper
//! deletes 10,000 a minute at most (`znode.container.maxPerMinute`), here all that are due go, in steps. One that never had a
//! child stays (`znode.container.maxNeverUsedIntervalMs` is 0 there, too).
//!
//! # What it logs
//! Events of `tracing`, at the level info: where it serves, sessions that begin, go on, expire and are closed, clients that
//! are refused and why; at debug: connections and requests; at trace: frames, without the passwords of handshakes and
//! of `auth`. What peers have sent is escaped and cut. Below debug, one address (of IPv6: one network of 64 bits) causes
//! 60 lines a minute at most, and so do all sessions that expire; then a line says how many were left out. A subscriber
//! that panics harms no client, and one that is slow is called when the server's lock is free.
//!
//! # Four-letter words
//! Four-letter words show the figures of what there is here. Those of mechanisms that are not (a quorum, TLS) are
//! zero, and `hash` has nothing to say. `mntr` tells apart the first thousand nodes of the root (`*_per_namespace`) with
//! names of up to 256 bytes; lengths there are in bytes.
//!
//! # Where zxids begin
//! A client that has seen a zxid is not served by a server that has not reached it: it is disconnected without a word,
//! in ZooKeeper as here. So a server in memory begins at a number that no earlier one can have reached, the milliseconds
//! since 1970 shifted by 20 bits: clients of the server before it are told that their sessions are gone, and go on. The
//! upper half, an epoch to some clients, is then near 430 million. With [`Builder::seed`] or
//! [`Builder::manual_clock`] it begins at 0, so that runs repeat; with a [`data_dir`](Builder::data_dir) it goes on
//! from what is there, and in an empty one begins at 0, as ZooKeeper does. Clients of a server in memory that are to go on
//! with a server of smaller numbers have to be started anew, and so have those of a machine whose clock was set back
//! between two processes.
//!
//! # Session passwords
//! A session belongs to whoever has its id and password. In memory the password is the id's HMAC with a secret
//! of the server, which only [`Builder::seed`] makes foreseeable. With a data directory it is what ZooKeeper makes of the
//! id, so that either server can go on with the sessions of the other: whoever can guess an id has the password, unless
//! [`Builder::private_sessions`] is set. As in ZooKeeper a wrong password costs the owner the connection, not the session.
//!
//! # What it deliberately does otherwise
//! A few bugs of the real server can only hurt, so they are not copied:
//!
//! | what a client does | ZooKeeper | here |
//! | --- | --- | --- |
//! | `deleteContainer`, the server's own operation | 3.9: deletes any node without children, whoever asks; 3.8: closes the connection | "bad arguments" |
//! | `setWatches` on a node that it may not read (3.9) | hears what has happened to it | hears nothing, as on 3.8 |
//! | op code -10 on a connection that has a session | from a restart on it has any timeout that was asked for | within the bounds |
//! | `createTTL` with flags of no time to live and a negative one | goes down | "bad arguments" |
//! | creates `/zookeeper/quota/zookeeper_limits`, a quota of the root | goes down | "bad arguments" |
//! | writes below a quota whose `zookeeper_stats` holds garbage | goes down | done; the garbage is let be |
//! | deletes a `zookeeper_limits` under `/zookeeper`, but not under `/zookeeper/quota` | goes down | deleted |
//! | adds a watch to a null path | takes it, and fails half-way at the disconnect | "cannot be read", code -5 |
//! | writes below a quota whose `zookeeper_stats` has more than 1,024 bytes | reads and writes them all | as garbage: let be |
//! | is sent a character beyond U+FFFF, by `sync` or in an ACL | six bytes that are no UTF-8 | UTF-8 |
//! | asks for more than 48 MiB in one `multiRead`, which a few kilobytes can do | goes out of memory | code -5 |
//! | writes more in one transaction than can be read back, as by a multi with long ACLs | acknowledges it, and never starts again | code -5, takes a zxid |
//! | shows more identities, or sets more watches or longer ACLs, than the limits above | goes out of memory | -115, -125, -114 |
//!
//! The 48 MiB are three quarters of [`max_backlog`](Builder::max_backlog).
//!
//! # Inside
//! [`core`] is the server as a state machine: bytes and the time go in, bytes come out. What is around it
//! here moves the bytes, reads the clock, and has no rule of its own.
#![forbid(unsafe_code)]

#[macro_use]
mod shell;
mod builder;
pub mod core;
mod direct;
mod error;
mod report;
mod server;
pub mod storage;

pub use builder::Builder;

pub use direct::{ConnectionInfo, Direct};
pub use error::Error;
pub use server::ZkMini;
pub use shell::connector::Connector;
