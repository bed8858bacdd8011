//! For tests: a server a test and, with the cargo feature `proptest`, random bad days for property tests of clients.
//!
//! [`run`] gives a plain `#[test]` a server, and prints the end of its history if the test fails. A `#[tokio::test]`, or a test
//! of another runtime, calls [`ZkMini::start`](crate::ZkMini::start) instead, and a test without async uses
//! [`blocking`](crate::blocking); of these a panic prints the history.
#![cfg_attr(feature = "proptest", doc = "")]
#![cfg_attr(feature = "proptest", doc = include_str!("bad_days.md"))]

#[cfg(feature = "proptest")]
mod day;
#[cfg(feature = "proptest")]
mod days;
#[cfg(feature = "proptest")]
mod incident;
mod run;
#[cfg(feature = "proptest")]
mod virtual_time;

#[cfg(feature = "proptest")]
pub use self::{day::Day, days::days, incident::Incident, virtual_time::in_virtual_time};
/// The crate that makes and shortens random days, in the version that [`days`] needs.
#[cfg(feature = "proptest")]
pub use proptest;
pub use run::{Outcome, run, run_with};
