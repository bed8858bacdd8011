//! The HTTP side of zk-mini: control in JSON for tests in every language, ZooKeeper's AdminServer and metrics for operators, and
//! a page for people.
//!
//! The ZooKeeper port itself answers HTTP, because no frame of ZooKeeper's protocol begins like an HTTP request:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use zk_mini::ZkMini;
//! use zk_mini_http::{Http, Settings};
//!
//! let http = Http::new(Settings::default());
//! let zk = http.share_port(ZkMini::builder()).start().await?;
//! let addr = zk.addr().ok_or("no port")?;
//! println!("look at http://{addr}/");
//! # Ok(())
//! # }
//! ```
//!
//! HTTP is served on a thread of its own, which starts with the first connection: it does not delay ZooKeeper's clients. The
//! crate calls nothing but the public methods of [`zk_mini::Handle`]. [`api`] shows each call with its answer.
//!
//! # Who may ask
//!
//! On loopback, every program of the machine; [`Settings::token`] changes that. Web pages other than the server's own may not:
//!
//! | a request | is answered with |
//! | --- | --- |
//! | whose `Host` is missing, repeated or malformed | 400 |
//! | whose `Host` is no loopback name or address (`localhost`, `*.localhost`, 127.0.0.0/8, `[::1]`; the port does not matter), unless the request has the token | 403 |
//! | whose `Origin` is not `http://` or `https://` and the `Host` with its port | 403 |
//! | whose `Sec-Fetch-Site` is neither `same-origin` nor `none`, but for a link to the page | 403 |
//! | `OPTIONS` | 403 |
//! | POST with the type of a form or of plain text (`curl -d`; use `curl --json`) | 415 |
//!
//! On every other address a request is answered with 403, unless there is a token: then without it with 401. A request with
//! the token may call the server by any name, since other machines do. The address that counts is the one that the port was told
//! to listen on, such as 0.0.0.0; for a stream that the program has accepted itself it is the peer's.
//! [`Settings::open`] opens `/metrics`, or `/commands`, without a token.
//!
//! Errors below `/v1` are JSON, elsewhere a line of text. A head that is no HTTP, or far beyond the limits, is answered by
//! hyper with a status alone.
//!
//! # Limits
//!
//! [`Settings`] bounds connections, event streams and bodies, and the time for heads, bodies and answers. A head has 32 KiB for
//! its address, and 32 KiB and 100 lines for its headers (414, 431). Two snapshots are restored at a time. Connections beyond the
//! limit take the place of those that wait for a request, the longest first. So peers that open connections and send nothing, or
//! read nothing, keep nobody out.
//!
//! # AdminServer
//!
//! `/commands` lists the commands of ZooKeeper's AdminServer, and `/commands/NAME` runs one: those of 3.8 or 3.9, by the server's
//! [`Compat`](zk_mini::Compat). Names, fields, types and status codes are the real server's, with these differences:
//!
//! | command | ZooKeeper | here |
//! | --- | --- | --- |
//! | `connection_stat_reset`, `stat_reset`, `set_trace_mask` | GET | POST; a GET is answered with 405, because no GET changes anything |
//! | a method that a command does not take | 3.8: 405, 3.9: 500 | 405 |
//! | `snapshot` | writes a file on the server, too | writes none |
//! | `snapshot`, `restore` | one in a while, others get 429 | as often as asked for |
//! | `hash` | digests from the 128th transaction on | none |
//! | `observers` | of each observer its connection, too | its number: `sid` |
//! | `zabstate`, `voting_view` | addresses of servers for each other | names only, where `/zookeeper/config` has no others: nothing listens there |
//! | `system_properties`, and `java.` in `environment` | those of Java | those that mean something here |
//!
//! Each server of a simulated ensemble answers for itself: as the leader, as a follower, or as a server without a quorum. One that is cut
//! off from the others serves no requests. A port of its own answers for the leader.
//!
//! `snapshot` and `restore` want the header `Authorization` with `digest USER:PASSWORD` or `ip`: an identity that has all permissions
//! on `/`. Where HTTP has a token, too, there are two such headers. Errors are in our own words.
//!
//! # Metrics
//!
//! `/metrics` has the names and types of ZooKeeper's own metrics for Prometheus, also of mechanisms that this server lacks. Left out are
//! those of Java (`jvm_`), of quotas (`quota_`) and of the connections between servers (`ack_latency`, `learner_handler_`). Quantiles of latencies are since
//! the start, or the last reset, and bound the true value from above, by less than twice. Figures that ZooKeeper does not have begin with `zk_mini_`.
//!
//! # ZooKeeperServerController
//!
//! `/command/ACTION` and `/command/ACTION/PARAMETER` are the commands of the controller in Apache ZooKeeper's tests, with its names (in any case)
//! and status codes: `PING`, `SHUTDOWN`, `CLOSECONNECTION[/SESSION]`, `EXPIRESESSION[/SESSION]`, `REJECTCONNECTIONS`,
//! `ADDDELAY[/MILLISECONDS]`, `FAILREQUESTS[/COUNT]`, `NORESPONSE[/COUNT]`, `RESET`, `ELECTNEWLEADER`. They are POST here, but
//! `PING`. `RESET` removes the rules that these commands made, and no others. `ELECTNEWLEADER` lets another
//! server of an ensemble lead (409 if none can), and changes nothing on a single server. `SHUTDOWN` takes the server down, or ends the program `zk-mini`; see [`Settings::on_shutdown`]. Under `zk-mini exec` it is refused.

#![forbid(unsafe_code)]

mod accept;
mod admin;
mod app;
mod blocking;
mod connection;
mod controller;
mod error;
mod event_streams;
mod extract;
mod face;
mod guard;
mod hex;
mod http;
mod metrics;
mod page;
mod places;
mod router;
mod runtime;
mod settings;
mod shared;
mod upload;
mod v1;
mod whole;

#[cfg(doc)]
#[doc = include_str!("../API.md")]
pub mod api {}

pub use event_streams::EventStreamCounts;
pub use face::Face;
pub use guard::InvalidToken;
pub use http::Http;
pub use settings::Settings;
