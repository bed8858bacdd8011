//! The registry in code without async: [`Wait`].
//!
//! Everything that is `async` has the method `wait` instead of `.await`; the rest is as it is. Registrations and subscriptions are
//! kept up on a thread that all registries of the process share, so the caller may block for as long as it likes.
//!
//! ```
#![cfg_attr(not(feature = "embedded"), doc = "# #[cfg(any())]")]
//! # fn main() -> Result<(), registry::Error> {
//! use registry::blocking::Wait;
//! use registry::{Instance, Registry};
//!
//! let registry = Registry::embedded().wait()?; // in production: `Registry::connect("zk1:2181,zk2:2181")`
//! let _registration = registry.register("echo", Instance::new("127.0.0.1", 8080)).wait()?;
//! assert_eq!(registry.discover("echo").wait()?.len(), 1);
//! registry.close().wait()?;
//! # Ok(())
//! # }
#![cfg_attr(not(feature = "embedded"), doc = "# #[cfg(not(any()))] fn main() {}")]
//! ```

pub use common::blocking::Wait;
