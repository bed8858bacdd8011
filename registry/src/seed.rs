//! Random numbers of a registry's own.

use std::hash::{BuildHasher, RandomState};
use std::process;

use crate::clock::unix_ms;

/// Returns a random seed that no other process has. Processes that were forked from one, and copies of one machine, have the same
/// state of every generator, and their instances must not have the same random id: the process and the time differ.
pub(crate) fn own_seed() -> u64 {
    RandomState::new().hash_one((process::id(), unix_ms(), fastrand::u64(..)))
}
