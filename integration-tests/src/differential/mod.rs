//! Differential test: the same script on two servers must give the same transcript.
//!
//! A [`Script`] is plain data. [`Subject::run`] performs it on a server, below a fresh parent node, and returns a
//! [`Transcript`] without the values that may differ: times, session ids, passwords, the first zxid, the parent path. After
//! each step every connection makes a round trip, so that all events of the step have arrived: no test waits for time to
//! pass.

pub mod access;
mod coverage;
mod explore;
mod generate;
pub mod golden;
mod peer;
mod record;
mod runner;
mod script;
pub mod servers;
mod shape;
mod situations;
mod text;
mod times;

pub use coverage::Coverage;
pub use explore::{Difference, Pair, explore, runner};
pub use peer::{Arrival, Peer};
pub use record::{FieldValue, Received, SessionValue, StatValue, StepRecord, TimeValue, ZxidValue};
pub use runner::{Subject, Transcript};
pub use script::{Action, Bindings, Field, Script, Step};
pub use text::ParseError;
pub(crate) use text::{hex, unhex};
