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
//! crate calls nothing but the public methods of [`zk_mini::Handle`].

#![forbid(unsafe_code)]
#![allow(dead_code)] // until all parts have moved in

mod accept;
mod app;
mod blocking;
mod connection;
mod controller;
mod error;
mod extract;
mod face;
mod guard;
mod hex;
mod http;
mod page;
mod places;
mod router;
mod runtime;
mod settings;
mod shared;
mod upload;
mod v1;

pub use face::Face;
pub use guard::InvalidToken;
pub use http::Http;
pub use settings::Settings;
