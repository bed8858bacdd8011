//! Tests of the core as clients see it: bytes in, bytes out, and a clock that the test moves. Numbers in comments refer to
//! rules of Apache ZooKeeper's behaviour in `RULES.md` beside this file.
#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as the tests do")]

mod access;
mod agreement;
mod audit;
mod chaos;
mod driver;
mod ensemble;
mod ensemble_stories;
mod exchange;
mod expiry;
mod fault_chaos;
mod fault_delays;
mod fault_expiry;
mod fault_moments;
mod faults;
mod forced_expiry;
mod freezing;
mod gates;
mod history;
mod invariants;
mod large_sessions;
mod limits;
mod local_sessions;
mod malformed;
mod model;
mod multi;
mod notes;
mod past;
mod quota;
mod reads;
mod reconfig;
mod restore;
mod sasl;
#[allow(dead_code, reason = "the tests of whole servers use the rest")]
#[path = "../session_stories/mod.rs"]
mod session_stories;
mod sessions;
mod stalls;
mod throttle;
mod watches;
mod writes;
