//! The core as clients meet it: bytes in, bytes out, and a clock that the test moves. Numbers in comments are
//! those of the rules in the project's description of ZooKeeper's behaviour.
#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as the tests do")]

mod access;
mod agreement;
mod chaos;
mod driver;
mod expiry;
mod invariants;
mod limits;
mod malformed;
mod model;
mod multi;
mod notes;
mod quota;
mod reads;
mod restore;
mod sessions;
mod stalls;
mod watches;
mod writes;
