//! Arbitrary bytes as each record of the protocol.
#![no_main]

#[path = "../../tests/fuzz_corpus/records.rs"]
mod records;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| records::decode_each(bytes));
