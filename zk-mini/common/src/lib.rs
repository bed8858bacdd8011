//! Small parts that several crates of zk-mini share: time as data, pauses between attempts, safe log lines.
//!
//! A *core* here is plain data: it takes inputs and the time, and gives outputs. [`Millis`] is its time and [`Backoff`] its
//! pauses. A *shell* performs what a core decides: [`Clock`] (feature `tokio`) tells it the time, tokio's or one that a test holds
//! for a server and its clients ([`SharedClock`]), and [`log`] keeps its
//! logging from ending a task or filling a disk. [`blocking`] is for callers without async. [`current_call`] (feature `tokio`) hands the
//! deadline of a call to those made inside it. [`digest_md5`] (feature `digest-md5`) proves passwords. [`tls`] (feature `tls`) reads certificates and keys. [`PeerKey`] is the unit of limits per host, [`beginning`] the part of a text that fits.
//!
//! These are parts of zk-mini, made for its own crates: no stability is promised to others.

#![cfg_attr(docsrs, feature(doc_cfg))] // the documentation shows which feature an item needs
#![forbid(unsafe_code)]

mod backoff;
#[cfg(feature = "tokio")]
pub mod blocking;
#[cfg(feature = "tokio")]
mod clock;
#[cfg(feature = "tokio")]
pub mod current_call;
#[cfg(feature = "digest-md5")]
pub mod digest_md5;
mod identity;
pub mod log;
mod millis;
mod peer;
mod text;
#[cfg(feature = "tls")]
pub mod tls;

pub use backoff::Backoff;
#[cfg(feature = "tokio")]
pub use clock::{Clock, SharedClock, TokioClock};
pub use identity::Identity;
pub use millis::Millis;
pub use peer::PeerKey;
pub use text::beginning;
