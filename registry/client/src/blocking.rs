//! The client in code without async: [`Wait`].
//!
//! Everything that is `async` has the method `wait` instead of `.await`; the rest is as it is. The connection is kept alive on a
//! thread that all clients of the process share, so the caller may block for as long as it likes.
//!
//! ```
//! use std::time::Duration;
//! use zk_client::blocking::Wait;
//! use zk_client::{Client, CreateMode};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let zk = zk_mini::ZkMini::start().wait()?;
//! # let servers = zk.connect_string();
//! let client = Client::connect(&servers).wait()?; // "zk1:2181,zk2:2181,zk3:2181/chroot"
//! client.create("/config", "on", CreateMode::Persistent).wait()?;
//!
//! let (data, _, mut watch) = client.get_and_watch("/config").wait()?;
//! assert_eq!(data, "on");
//! if let Some(changed) = watch.changed().wait_at_most(Duration::from_millis(5)) {
//!     println!("{:?}", changed?);
//! }
//! client.close().wait()?;
//! # Ok(())
//! # }
//! ```

pub use common::blocking::Wait;
