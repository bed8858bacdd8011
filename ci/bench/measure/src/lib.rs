//! Common parts of all benchmarks: figures of other processes, and a table of medians and ratios.
#![forbid(unsafe_code)]

mod process;
mod report;

pub use process::{cpu, memory_kib};
pub use report::Report;
