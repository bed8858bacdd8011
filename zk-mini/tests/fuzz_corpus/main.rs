//! Fuzz targets of `zk-mini/fuzz` as ordinary tests, on stored seeds and on random bytes.
#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as the tests do")]

mod history;
#[path = "../core_server/invariants.rs"]
mod invariants;
mod records;

use std::fs;
use std::path::Path;

use proptest::prelude::*;

fn seeds(of: &str) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(of);
    let mut paths: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn the_core_holds_its_invariants_in_every_stored_history() {
    let seeds = seeds("core");
    assert!(!seeds.is_empty());
    seeds.iter().for_each(|seed| history::run(seed));
}

#[test]
fn every_stored_input_of_the_decoder_is_decoded_or_refused() {
    let seeds = seeds("decoder");
    assert!(!seeds.is_empty());
    seeds.iter().for_each(|seed| records::decode_each(seed));
}

proptest! {
    #[test]
    fn the_core_holds_its_invariants_in_any_history(bytes in proptest::collection::vec(any::<u8>(), 0..1_500)) {
        history::run(&bytes);
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        // Small numbers give lengths and types that lead deeper into the records.
        modulus in proptest::sample::select(vec![3_u8, 8, 64, 255]),
    ) {
        let bytes: Vec<u8> = bytes.iter().map(|byte| byte % modulus).collect();
        records::decode_each(&bytes);
    }
}
