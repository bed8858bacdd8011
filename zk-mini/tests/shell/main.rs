//! Tests of a whole server through the public API, in raw bytes: neither a client crate nor the codec takes part.
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap as the tests do")]

mod backlog;
mod bad_input;
mod blocking;
mod clock_moves;
mod clocks;
mod damage;
#[cfg(feature = "proptest")]
mod days;
mod disk;
mod ensemble;
mod ensemble_figures;
mod fairness;
mod fault_runs;
mod faults;
mod figures;
mod files;
mod four_letter;
mod freezing;
mod history;
mod inspection;
mod lifecycle;
mod limits;
mod literal_bytes;
mod local_sessions;
mod misplaced;
mod nodes;
mod on_demand;
mod plain;
mod power;
mod raw;
mod reconfig;
mod recovery;
mod restarts;
#[allow(dead_code, reason = "the tests of the core use the rest")]
#[path = "../session_stories/mod.rs"]
mod session_stories;
#[allow(dead_code, reason = "the tests of real servers use the rest")]
#[path = "../session_stories/wire.rs"]
mod session_wire;
mod sessions;
mod snapshot_bytes;
mod storage;
mod streams;
mod subscriber;
mod successors;
mod time;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tree-files")]
mod tree_files;
