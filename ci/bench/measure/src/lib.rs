//! Common parts of all benchmarks: figures of other processes, a table of medians and ratios, and plots.
#![forbid(unsafe_code)]

mod plot;
mod process;
mod report;

pub use plot::{Panel, Plot};
pub use process::{cpu, memory_kib};
pub use report::Report;
