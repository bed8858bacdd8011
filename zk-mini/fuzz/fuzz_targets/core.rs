//! Arbitrary histories of several connections: the core holds its invariants after each step.
#![no_main]

#[path = "../../tests/fuzz_corpus/history.rs"]
mod history;
#[path = "../../tests/core_server/invariants.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| history::run(bytes));
