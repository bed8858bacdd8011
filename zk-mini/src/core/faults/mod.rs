//! Faults: rules that make the server misbehave on purpose.
//!
//! A [`Rule`] is a condition, [`On`], and an effect, [`Then`]. The rules are asked in the order in which they were added,
//! and the first one that fires decides alone: later rules are not shown the case and do not count it. A server without
//! rules pays one comparison for a request.
//!
//! | moment | rules are asked |
//! | --- | --- |
//! | request | when it arrives, before anything else |
//! | watch event | for each connection that is to be told, when the watch has been used up |
//! | handshake | when it arrives, before its session is looked up |
//! | expiry | when the time of a session has run out, before its nodes are deleted |
//!
//! Rules outlive restarts; they end with the server, or when they are removed.

mod case;
mod effects;
mod error;
mod fate;
mod glob;
mod hit;
mod on;
mod request;
mod rule;
mod table;
mod then;

pub use error::RuleError;
pub(crate) use fate::{EventFate, after};
pub use glob::{Glob, GlobError};
pub use hit::{FaultId, FaultInfo, FaultState, Hit, HitKind};
pub use on::{CaseKind, Condition, On};
pub use rule::Rule;
pub(crate) use table::{Faults, Fired};
pub use then::Then;
