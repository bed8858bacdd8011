//! The recipes against a zk-mini in the same process, in virtual time.
#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as the tests do")]

mod barriers;
mod caches;
mod counters;
mod days;
mod elections;
mod locks;
mod queues;
mod semaphores;
mod support;
mod work;
