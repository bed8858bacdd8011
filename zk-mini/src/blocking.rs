//! The server in code without async: [`Wait`].
//!
//! Everything that is `async` has the method `wait` instead of `.await`; the rest is as it is: [`ZkMini`](crate::ZkMini) and all that
//! comes from it are the same. The server works on a thread that all servers of the process share, so the caller may block,
//! and a thousand servers need no thousand threads.
//!
//! ```
//! use std::time::Duration;
//! use zk_client::{Client, CreateMode};
//! use zk_mini::ZkMini;
//! use zk_mini::blocking::Wait;
//!
//! # /*
//! #[test]
//! # */
//! fn a_leader_whose_session_expires_is_gone() -> Result<(), Box<dyn std::error::Error>> {
//!     let zk = ZkMini::start().wait()?; // on a free port; it stops when it is dropped
//!     zk.create("/config/limit", "100").parents().wait()?;
//!     let client = Client::connect(&zk.connect_string()).wait()?; // or any other client, in any thread
//!     client.create("/leader", "me", CreateMode::Ephemeral).wait()?;
//!
//!     let session = zk.session_of("/leader").ok_or("nobody leads")?;
//!     session.expire().wait();
//!     zk.wait_for(|zk| zk.get("/leader").is_none(), Duration::from_secs(5)).wait()?;
//!     println!("{}", zk.explain("/leader"));
//!     Ok(())
//! }
//! # a_leader_whose_session_expires_is_gone().unwrap();
//! ```
//!
//! Any future can be waited for: also `async { … }.wait()`, and those of [`zk-client`](https://docs.rs/zk-client) and
//! [`zk-registry`](https://docs.rs/zk-registry), which export the same trait. What should have an end has
//! [`wait_at_most`](Wait::wait_at_most).

pub use common::blocking::Wait;
