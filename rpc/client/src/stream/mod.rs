//! Calls with messages: from the server, to the server, or both ways.
//!
//! A stream keeps its link, as a call does, until it ends or is dropped. What the server sends waits in the session until it is
//! read; the session bounds it.

mod active;
mod call;
mod messages;
mod opening;
mod place;
mod upload;

pub use call::StreamCall;
pub use messages::Messages;
pub use upload::{MessageSender, Upload};

#[cfg(feature = "tower")]
pub(crate) use opening::{Opened, Opening};
